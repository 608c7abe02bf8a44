"""Where commands write."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detres.errors import ConfigError
from detres.files import names
from detres.files.whole import clean_dead_partials

MOST_BYTES = 200
"""Of a picture's name; its ending is added."""


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Stems; of those that stand more than once, all get their place in the list in front. Each is one file's name."""
    counts = Counter(path.stem for path in paths)
    stems = [path.stem if counts[path.stem] == 1 else f"{i:06d}_{path.stem}" for i, path in enumerate(paths)]
    return names.unique_names(stems, most=MOST_BYTES)


def renamed_lines(paths: Sequence[Path], chosen: Sequence[str]) -> list[str]:
    """A line for people where names had to change to be files' names."""
    changed = [(path.stem, name) for path, name in zip(paths, chosen, strict=True) if not name.endswith(path.stem)]
    if not changed:
        return []
    first = f"{changed[0][0][:60]!a} is written as {changed[0][1]}"
    return [f"{len(changed)} names are no names of files on every system: {first}"]


def inside(folder: Path, other: str | Path) -> bool:
    """Whether a folder, there or not yet, is another or lies in it."""
    return Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(other))


def make_folder(folder: Path) -> Path:
    """The folder, made where it is not there yet: before the work, so that an hour of it is not lost at its end.

    What killed processes left there of files of ours is taken away. Raises ConfigError where it cannot be made or
    written to, and where its name is no UTF-8: safetensors cannot read what lies there.
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
    clean_dead_partials(folder)
    return folder


def make_room_for(file: Path) -> None:
    """The folder that a file is to lie in, made where it is not there yet. Raises ConfigError where it cannot be."""
    if file.is_dir():
        raise ConfigError(f"{file}: a folder has this name; name a file")
    make_folder(file.parent)
