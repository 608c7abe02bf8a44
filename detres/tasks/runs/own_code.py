"""Whose word it takes for a backbone that is code: that of the user's own config and command line alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detres.config.finding import find_config
from detres.config.loading import read_layer, read_override


def stated_code(cfg: str | Path | None, overrides: Sequence[str]) -> str | None:
    """The backbone's module:callable where the config that a user names says so, or a key=value; None where neither.

    A weights file that names the same is then the user's own; the config in a run's folder came with the weights.
    """
    layers = [*([read_layer(find_config(cfg))] if cfg else []), *(read_override(text) for text in overrides)]
    stated = None
    for layer in layers:
        value: object = layer.values
        for key in ("model", "backbone", "name"):
            value = value.get(key) if isinstance(value, dict) else None
        stated = value if isinstance(value, str) else stated
    return stated if stated and ":" in stated else None
