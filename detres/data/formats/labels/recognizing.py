"""Which label files of a folder that nobody described are which split.

Files are looked for in the folder and in those right below it; a split is told by a word of the file's name, or of its
folder's.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from detres.data.formats.format import Recognized
from detres.data.images.files import is_hidden
from detres.errors import DataError

SPLIT_WORDS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
# A set has few label files; what has more of an ending is something else, and looking at each would take long.
_MOST_FOLDERS, _MOST_FILES, _MOST_LOOKED_AT = 200, 200, 400

Splits = dict[str, list[str]]


def recognize_files(
    place: Path,
    ending: str,
    looks: Callable[[Path], bool],
    form: str,
    *,
    deep: int = 1,
    subsets: Callable[[Path], Sequence[str]] | None = None,
) -> Recognized | None:
    """The label files of a place, a folder or the file itself, as splits.

    ending: of such files, with its dot. looks: whether a file is one. form: what they are called, for people and as
    `format:` in a yaml. deep: how many folders below the place are looked into. subsets: those that a file itself has,
    which are the splits where it is alone.
    Raises DataError where the place holds some, and which is which split is not told.
    """
    root = place.parent if os.path.isfile(place) else place
    files = candidate_files(place, ending, deep) if root is place else [place]
    files = [file for file in files if file.suffix.lower() == ending and looks(file)]
    if not files:
        return None
    shown = ", ".join(file.relative_to(root).as_posix() for file in files[:3]) + (", …" if len(files) > 3 else "")
    why = f"{shown} {'is' if len(files) == 1 else 'are'} of this form"
    own = (
        _splits_within(files[0].relative_to(root).as_posix(), subsets(files[0])) if len(files) == 1 and subsets else {}
    )
    return recognized(root, own or named_splits(files, root, form), why)


def _splits_within(file: str, subsets: Sequence[str]) -> Splits:
    """The splits that the subsets of a file are; what is in none of them is for training. None where there is one."""
    splits: Splits = {}
    for subset in subsets:
        splits.setdefault(split_word(subset) or "train", []).append(f"{file}#{subset}" if subset else file)
    return splits if len(splits) > 1 and all("#" in name for names in splits.values() for name in names) else {}


def recognized(root: Path, splits: Mapping[str, Sequence[str]], why: str) -> Recognized:
    """splits: the names of train, val and test, as the data section has them."""
    return Recognized(root, why, **{split: tuple(splits.get(split, ())) for split in SPLIT_WORDS})


def named_splits(files: Sequence[Path], place: Path, form: str) -> Splits:
    """The split of each file by its name, or its folder's; a single file of no such name is train.

    Raises DataError where it cannot be told.
    """
    named: dict[str, list[Path]] = {}
    for file in files:
        split = split_word(file.stem) or split_word("/".join(file.relative_to(place).parts[:-1]))
        if split:
            named.setdefault(split, []).append(file)
    if not named and len(files) == 1:
        named["train"] = list(files)
    if not named or any(len(of_split) > 1 for of_split in named.values()):
        there = ", ".join(file.relative_to(place).as_posix() for file in files[:10])
        raise DataError(
            f"--data {place}: it holds the label files {there}, and which of them is which split is not told by their "
            f"names; write a yaml such as\n  format: {form}\n  root: {place}\n  train: "
            f"{files[0].relative_to(place).as_posix()}\n  val_fraction: 0.1"
        )
    return {split: [of_split[0].relative_to(place).as_posix()] for split, of_split in named.items()}


def split_word(name: str) -> str | None:
    """The one split that a word of a name is of."""
    words = set(re.findall(r"[a-z]+", name.lower()))
    found = [split for split, known in SPLIT_WORDS.items() if words & set(known)]
    return found[0] if len(found) == 1 else None


def candidate_files(folder: Path, ending: str, deep: int = 1) -> list[Path]:
    """The files of an ending in a folder and in those below it, sorted; of a folder that has hundreds, none."""
    files, folders = list_folder(folder, ending)
    found = files if len(files) <= _MOST_FILES else []
    for below in folders[:_MOST_FOLDERS] if deep else []:
        found += candidate_files(below, ending, deep - 1)
        if len(found) > _MOST_LOOKED_AT:
            break
    return found


def list_folder(folder: Path, ending: str) -> tuple[list[Path], list[Path]]:
    """The files of an ending in a folder, and the folders in it, each sorted and without hidden ones."""
    files, folders = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.name.lower().endswith(ending):
                    files.append(Path(entry.path))
                elif entry.is_dir():
                    folders.append(Path(entry.path))
    except OSError:
        return [], []
    return sorted(file for file in files if len(files) > _MOST_FILES or file.is_file()), sorted(folders)
