"""Where commands write."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detres.errors import ConfigError


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Stems; of those that stand more than once, all get their place in the list in front."""
    counts = Counter(path.stem for path in paths)
    return [path.stem if counts[path.stem] == 1 else f"{i:06d}_{path.stem}" for i, path in enumerate(paths)]


def make_folder(folder: Path) -> Path:
    """The folder, made where it is not there yet: before the work, so that an hour of it is not lost at its end.

    Raises ConfigError where it cannot be made or written to, and where its name is no UTF-8: safetensors cannot read
    what lies there.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{folder}: this name is no UTF-8; name another with --out") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: this folder cannot be made ({error.strerror}); name another with --out") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"{folder}: nothing can be written to this folder; mend its permission, or name another with --out"
        )
    return folder


def make_room_for(file: Path) -> None:
    """The folder that a file is to lie in, made where it is not there yet. Raises ConfigError where it cannot be."""
    if file.is_dir():
        raise ConfigError(f"{file}: a folder has this name; name a file")
    make_folder(file.parent)
