"""A folder with images and COCO's annotation files in it, which nobody described: which file is which split.

Files are looked for in the folder, in annotations/ and in the folders below it, and known by their keys, of which only
the beginning and the end of a file are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from detres.data.formats.format import Recognized
from detres.data.looking import look
from detres.data.places import SplitName
from detres.data.split_words import SPLIT_WORDS, split_of, splits_among
from detres.errors import DataError

_ROBOFLOW_FILE = "_annotations.coco.json"
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_ENTRY = re.compile(rb'"(file_name|image_id|bbox)"\s*:')
_LOOK = 1 << 16
_MOST_FOLDERS = 200
# Other tools write a JSON an image.
_MOST_FILES = 100


def recognize_coco(place: Path) -> Recognized | None:
    """A Roboflow export, by its folder or any of its files; an annotation file; a folder that holds some.

    Raises DataError where it holds several and cannot tell which is which split.
    """
    if place.name == _ROBOFLOW_FILE:
        return _of_roboflow(place.parent.parent)
    if not os.path.isdir(place):
        return _of_file(place) if place.suffix.lower() == ".json" and looks_like_coco(place) else None
    roboflow = _of_roboflow(place)
    if roboflow is not None:
        return roboflow
    if not is_coco_folder(place):
        return None
    splits = coco_splits(place)
    files = [names[0] for names in splits.values()]
    return Recognized(place, f"annotations in {', '.join(files)}", **splits)


def _of_roboflow(folder: Path) -> Recognized | None:
    with_file = [name for name in look(folder).folders if (folder / name / _ROBOFLOW_FILE).is_file()]
    splits = splits_among(with_file)
    if not splits:
        return None
    named = {split: (f"{name}/{_ROBOFLOW_FILE}:{name}",) for split, name in splits.items()}
    return Recognized(folder, f"{_ROBOFLOW_FILE} in {'/, '.join(splits.values())}/", **named)


def _of_file(file: Path) -> Recognized:
    """One file is the split that its name tells, else train. The pictures of one in annotations/ lie beside that."""
    root = file.parent.parent if file.parent.name.lower() == "annotations" else file.parent
    named = file.relative_to(root).as_posix()
    splits: dict[SplitName, tuple[str, ...]] = {split_of(file.stem) or "train": (named,)}
    return Recognized(root, "an annotation file", **splits)


def is_coco_folder(folder: Path) -> bool:
    return any(_candidates(folder))


def coco_splits(folder: Path) -> dict[SplitName, tuple[str, ...]]:
    """The annotation file of each split, by its path from the folder.

    A split is told by a word of the file's name, or of its folder's; a single file of no such name is train. Of
    several files for one, COCO's instances_… is meant.
    Raises DataError where it cannot be told.
    """
    files = list(_candidates(folder))
    if not files:
        raise DataError(f"--data {folder}: no COCO annotation file was found in it, or in the folders right below it")
    named: dict[SplitName, list[Path]] = {}
    for file in files:
        split = _split_of(file, folder)
        if split:
            named.setdefault(split, []).append(file)
    if not named and len(files) == 1:
        named["train"] = files
    for split, of_split in named.items():
        instances = [file for file in of_split if file.name.startswith("instances")]
        named[split] = instances if len(instances) == 1 else of_split
    if not named or any(len(of_split) > 1 for of_split in named.values()):
        there = ", ".join(file.relative_to(folder).as_posix() for file in files)
        raise DataError(
            f"--data {folder}: it holds the annotation files {there}, and which of them is which split is not told by "
            f"their names; write a yaml such as\n  format: coco\n  root: {folder}\n  train: "
            f"{files[0].relative_to(folder).as_posix()}\n  val_fraction: 0.1"
        )
    return {split: (named[split][0].relative_to(folder).as_posix(),) for split in SPLIT_WORDS if split in named}


def _split_of(file: Path, folder: Path) -> SplitName | None:
    """By the name first: annotations/train/ may hold a val.json, but hardly the reverse."""
    return split_of(file.stem) or split_of("/".join(file.relative_to(folder).parts[:-1]))


def _candidates(folder: Path) -> Iterable[Path]:
    """JSON files with the keys of COCO's instances, in the folder and in those right below it."""
    top = look(folder)
    for below in (None, *top.folders[:_MOST_FOLDERS]):
        try:
            here = look(folder / below) if below else top
        except DataError:
            continue  # one that may not be read holds nothing of ours
        files = [here.place / name for name in here.ending(".json")[:_MOST_FILES]]
        yield from (file for file in files if looks_like_coco(file))


def looks_like_coco(file: Path) -> bool:
    """Whether it has images, and annotations or categories, each a list.

    Where keys stand is each tool's own: of a long file one list may be seen to begin, and what its entries have.
    """
    try:
        with file.open("rb") as stream:
            head = stream.read(_LOOK)
            stream.seek(max(file.stat().st_size - _LOOK, len(head)))
            ends = head + stream.read(_LOOK)
    except OSError:
        return False
    # UTF-16's zeros stand between letters.
    ends, long = ends.replace(b"\0", b""), len(head) == _LOOK
    keys = {match[1] for match in _KEYS.finditer(ends)}
    if len(keys) >= 2:
        return b"images" in keys or long
    entries = {match[1] for match in _ENTRY.finditer(ends)} if keys and long else set()
    return b"file_name" in entries or entries >= {b"image_id", b"bbox"}
