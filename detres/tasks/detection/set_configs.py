"""The config of a set that is looked at, without a detector."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detres.config.detection_schema import Config
from detres.config.key_effects import on_data_alone
from detres.config.loading import Layer, load_config, of_schema, read_override, resolve_by
from detres.errors import ConfigError
from detres.files.names import safe_name


def config_of_set(
    cfg: str | None, layers: Sequence[Layer], overrides: Sequence[str], wanted: str
) -> tuple[Config, str]:
    """The config whose data are meant, and a name for files about them.

    layers: what --data says. wanted: what may be named, for people. Raises ConfigError where nothing is.
    """
    use = on_data_alone()
    if cfg is not None:
        return of_schema(load_config(cfg, overrides, layers=layers, use=use), Config), safe_name(Path(cfg).stem)
    if layers:
        source = safe_name(Path(layers[0].source).resolve().stem)  # a folder may be called as ..
        return resolve_by(Config, [*layers, *map(read_override, overrides)], use=use), source
    raise ConfigError(f"nothing to draw: name {wanted}")
