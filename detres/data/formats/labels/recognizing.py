"""Which label files of a folder that nobody described are which split.

Files are looked for in the folder and in those right below it; a split is told by a word of the file's name, or of its
folder's.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from detres.data.formats.format import Recognized
from detres.data.looking import look
from detres.data.split_words import SPLIT_WORDS, split_of
from detres.errors import DataError

# A set has few label files; a folder with more of an ending has something else, and looking at each would take long.
_MOST_FOLDERS, _MOST_FILES, _MOST_LOOKED_AT = 200, 200, 400
_SHOWN = 3

Splits = dict[str, list[str]]


def recognize_files(
    place: Path,
    ending: str,
    looks: Callable[[Path], bool],
    form: str,
    what: str,
    *,
    deep: int = 1,
    subsets: Callable[[Path], Sequence[str]] | None = None,
) -> Recognized | None:
    """The label files of a place, a folder or the file itself, as splits.

    ending: of such files, with its dot. looks: whether a file is one. form: as `format:` in a yaml; what: for people.
    deep: how many folders below the place are looked into. subsets: those that a file itself has, which are the splits
    where it is alone.
    Raises DataError where the place holds some, and which is which split is not told.
    """
    alone = os.path.isfile(place)
    root = place.parent if alone else place
    files = [place] if alone else candidate_files(place, ending, deep)
    files = [file for file in files if file.suffix.lower() == ending and looks(file)]
    if not files:
        return None
    names = [file.relative_to(root).as_posix() for file in files]
    own = _splits_within(names[0], subsets(files[0])) if len(files) == 1 and subsets is not None else {}
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return recognized(root, own or named_splits(names, root, form), f"{what}: {shown}")


def recognized(root: Path, splits: Mapping[str, Sequence[str]], why: str) -> Recognized:
    """splits: the names of train, val and test, as the data section has them."""
    train, val, test = (tuple(splits.get(split, ())) for split in ("train", "val", "test"))
    return Recognized(root, why, train=train, val=val, test=test)


def named_splits(names: Sequence[str], root: Path, form: str) -> Splits:
    """The split of each file by its name, or its folder's; a single file of no such name is train.

    Raises DataError where it cannot be told.
    """
    named: Splits = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        split = split_of(file.rpartition(".")[0]) or split_of(folder)
        if split:
            named.setdefault(split, []).append(name)
    if not named and len(names) == 1:
        named["train"] = list(names)
    if not named or any(len(of_split) > 1 for of_split in named.values()):
        raise DataError(
            f"--data {root}: it holds the label files {', '.join(names[:10])}, and which of them is which split is not "
            f"told by their names; write a yaml such as\n  format: {form}\n  root: {root}\n  train: {names[0]}\n"
            "  val_fraction: 0.1"
        )
    return {split: named[split] for split in SPLIT_WORDS if split in named}


def candidate_files(folder: Path, ending: str, deep: int = 1) -> list[Path]:
    """The files of an ending in a folder and in those below it; of a folder that has hundreds, none."""
    try:
        here = look(folder)
    except DataError:
        return []  # one that may not be read holds nothing of ours
    names = here.ending(ending)
    found = [folder / name for name in names if (folder / name).is_file()] if len(names) <= _MOST_FILES else []
    for below in here.folders[:_MOST_FOLDERS] if deep else ():
        found += candidate_files(folder / below, ending, deep - 1)
        if len(found) > _MOST_LOOKED_AT:
            break
    return found


def _splits_within(file: str, subsets: Sequence[str]) -> Splits:
    """The splits that the subsets of a file are; what is called otherwise is for training. None where it has one."""
    if len(subsets) < 2 or "" in subsets:
        return {}
    splits: Splits = {}
    for subset in subsets:
        splits.setdefault(split_of(subset) or "train", []).append(f"{file}#{subset}")
    return splits
