"""Where commands write."""

from __future__ import annotations

from pathlib import Path

from detres.errors import ConfigError


def make_folder(folder: Path) -> Path:
    """The folder, made where it is not there yet: before the work, so that an hour of it is not lost at its end.

    Raises ConfigError where it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: this folder cannot be made ({error.strerror}); name another with --out") from None
    return folder
