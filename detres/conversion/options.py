"""What a user says of a file of weights that does not say it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detres.backbones.architectures import ShortcutPadding, StrideIn
from detres.config.loading import read_override
from detres.conversion.converted import Stated
from detres.conversion.keys import asked
from detres.errors import ConfigError


@dataclass(frozen=True)
class Options:
    """What a user says of a file that does not say it; None: not said.

    classes: a file of names, one a line. config: a file of the other project's.
    """

    bn_eps: float | None = None
    classes: Path | None = None
    architecture: str | None = None
    stride_in: StrideIn | None = None
    config: Path | None = None
    shortcut_padding: ShortcutPadding | None = None

    def given(self) -> set[str]:
        """As they are written on the command line."""
        return {f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value is not None}

    def stated(self, classes: Sequence[str] | None = None, overrides: Sequence[str] = ()) -> Stated:
        """With what key=value says. classes: those of the file.

        Raises ConfigError where an option and a key say the same thing twice.
        """
        layers = tuple(read_override(text) for text in overrides)
        said: dict[str, Any] = {"bn_eps": self.bn_eps, "classes": classes, "stride_in": self.stride_in}
        for name, (key, kind) in _SAME.items():
            value = asked(layers, key)
            if value is None:
                continue
            if said[name] is not None:
                raise ConfigError(f"--{name.replace('_', '-')} and {key} say the same thing; give one of them")
            # What is of another kind is refused with the rest of the keys.
            said[name] = value if isinstance(value, kind) else None
        return Stated(said["bn_eps"], said["classes"], said["stride_in"], self.config, layers)


# Options that are keys by another name, and what those hold.
_SAME: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "bn_eps": ("model.backbone.norm_eps", (int, float)),
    "classes": ("model.class_names", list),
    "stride_in": ("model.backbone.stride_in", str),
}


NOTHING_SAID = Options()
