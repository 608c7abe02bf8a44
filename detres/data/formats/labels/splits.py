"""How a split of a label file is written: FILE, FILE:FOLDER where the images lie elsewhere, FILE#SUBSET for a part.

FILE is below the root. A folder can be a split where a format has a file an image. A subset is what the file itself
calls one: CVAT's `subset`, AutoML's TRAIN, VALIDATION and TEST, the column `split` of a table.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from detres.errors import DataError


@dataclass(frozen=True)
class SplitPlace:
    """root: of the set. file: of the labels. images: the folder named for the images, if any. subset: the part meant,
    in small letters. shown: what problems call the file.
    """

    root: Path
    file: Path
    shown: str
    images: Path | None = None
    subset: str | None = None


def place_of_split(root: Path, split: str) -> SplitPlace:
    """What a split's name means. Of several readings, the first whose file or folder is there."""
    readings = _readings(split)
    there = (reading for reading in readings if os.path.exists(root / reading[0]))
    file, images, subset = next(there, readings[0])
    folder = root / images if images else None
    return SplitPlace(root, root / file, file, folder, subset.lower() if subset else None)


def existing_file(place: SplitPlace) -> Path:
    """The file of a split. Raises DataError where there is none."""
    if not os.path.isfile(place.file):
        raise DataError(f"{place.file}: there is no such label file; check data.root and the split's name")
    if place.images is not None and not os.path.isdir(place.images):
        raise DataError(f"{place.images}: there is no such folder of images; check what the split names behind `:`")
    return place.file


def has_split(root: Path, split: str) -> bool:
    """Whether the file or folder of a split is there."""
    return os.path.exists(place_of_split(root, split).file)


def _readings(split: str) -> list[tuple[str, str, str]]:
    """(file, folder, subset): a name may hold # and : itself."""
    found = [(split, "", "")]
    whole, mark, subset = split.rpartition("#")
    parts = [(whole, subset)] if mark else []
    for name, of in [(split, ""), *parts]:
        file, colon, folder = name.partition(":")
        if of:
            found.append((name, "", of))
        if colon:
            found.append((file, folder, of))
    return found[::-1] if mark or ":" in split else found
