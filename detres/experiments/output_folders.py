"""Where commands write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detres.errors import ConfigError
from detres.files.whole import clean_dead_partials


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Stems; of those that stand more than once, all get their place in the list in front."""
    counts = Counter(path.stem for path in paths)
    return [path.stem if counts[path.stem] == 1 else f"{i:06d}_{path.stem}" for i, path in enumerate(paths)]


def make_folder(folder: Path) -> Path:
    """The folder, made where it is not there yet: before the work, so that an hour of it is not lost at its end.

    What killed processes left there of files of ours is taken away. Raises ConfigError where it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder}: this folder cannot be made ({error.strerror}); name another with --out") from None
    clean_dead_partials(folder)
    return folder


def make_room_for(file: Path) -> None:
    """The folder that a file is to lie in, made where it is not there yet. Raises ConfigError where it cannot be."""
    if file.is_dir():
        raise ConfigError(f"{file}: a folder has this name; name a file")
    make_folder(file.parent)
