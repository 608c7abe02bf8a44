"""Open Images: a table of boxes in shares, and pictures that are called by their ids.

    ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside
    0001eeaf4aed83f9,xclick,/m/0cmf2,1,0.022673031,0.9642005,0.07103825,0.80054647,0,0,0,0,0

ImageID.jpg lies anywhere in the set, such as in train/; people have a part of it, so that pictures which are not there
are told in one line. What LabelName stands for is told by a class-descriptions-boxable.csv (or FiftyOne's
metadata/classes.csv); without it, classes are called by these ids. A box of a group of objects (IsGroupOf) is a crowd.
Flags are 1, 0 or -1 for unknown, which is taken for 0.
Source: storage.googleapis.com/openimages/web/download_v7.html, "Data formats".
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from detres.data.detection.indexing import RawBox
from detres.data.formats.format import Format, Recognized
from detres.data.formats.labels.csv.tables import MOST_BYTES, first_rows, read_rows
from detres.data.formats.labels.drawn import DrawnImage, Slips, label_name, loader_of, quoted
from detres.data.formats.labels.recognizing import recognize_files
from detres.data.formats.labels.shapes import numbers_of
from detres.data.formats.labels.splits import SplitPlace, existing_file, has_split
from detres.data.images.files import names_in
from detres.data.problems import Problem
from detres.data.values import flag
from detres.errors import DataError

_NEEDED = ("imageid", "labelname", "xmin", "xmax", "ymin", "ymax")
# The training set's has 2.2 GB.
_MOST_BYTES = 4 * MOST_BYTES
_MOST_CLASSES = 100_000
_NAMED_IN = ("", "annotations", "metadata", "csv_folder", "../metadata", "../../metadata")


def recognize(place: Path) -> Recognized | None:
    """Whether a folder, or a file, is such a set."""
    return recognize_files(place, ".csv", _looks, "openimages", "Open Images' tables", deep=2)


def _looks(file: Path) -> bool:
    rows = first_rows(file, 1)
    return bool(rows) and set(_NEEDED) <= {cell.lower() for cell in rows[0][1]}


def find_descriptions(file: Path, root: Path) -> Mapping[str, str]:
    """What each LabelName stands for, by a list in the set; nothing where there is none."""
    top = os.path.abspath(root)
    for base in dict.fromkeys([file.parent, root]):
        for folder in _NAMED_IN:
            place = Path(os.path.normpath(base.absolute() / folder))
            if os.path.commonpath([top, place]) != top or not place.is_dir():
                continue
            for name in names_in(place):
                known = "class-descriptions" in name.lower() or name.lower() == "classes.csv"
                if known and name.lower().endswith(".csv") and (found := _descriptions(place / name)):
                    return found
    return {}


def _descriptions(file: Path) -> dict[str, str]:
    try:
        rows = [cells for (_, cells), _ in zip(read_rows(file), range(_MOST_CLASSES), strict=False)]
    except DataError:
        return {}
    named = {cells[0]: label_name(cells[1]) for cells in rows if len(cells) == 2 and cells[0] != "LabelName"}
    return {key: name for key, name in named.items() if name is not None}


def _read(place: SplitPlace, names: Mapping[str, str], found: list[Problem]) -> list[DrawnImage]:
    file = existing_file(place)
    slips = Slips(place.shown, found)
    rows = read_rows(file, most=_MOST_BYTES)
    header = [cell.lower() for cell in next(rows, (0, []))[1]]
    if not set(_NEEDED) <= set(header):
        raise DataError(f"{file}: this is no table of Open Images' boxes: its columns are {quoted(','.join(header))}")
    image_at, label_at, *corners_at = (header.index(name) for name in _NEEDED)
    marks = [header.index(name) if name in header else None for name in ("isgroupof", "istruncated")]
    images: dict[str, DrawnImage] = {}
    unnamed: set[str] = set()
    for line, cells in rows:
        numbers = numbers_of(cells[place] for place in corners_at) if len(cells) == len(header) else None
        name = label_name(names.get(cells[label_at], cells[label_at])) if numbers is not None else None
        if numbers is None or name is None or not cells[image_at]:
            slips.add(f"line {line}: {quoted(','.join(cells))} is no image, class and four finite numbers")
            continue
        if cells[label_at] not in names:
            unnamed.add(name)
        x1, x2, y1, y2 = numbers
        crowd, truncated = (at is not None and bool(flag(cells[at])) for at in marks)
        image = images.setdefault(cells[image_at], DrawnImage((cells[image_at],), shares=True, optional=True))
        image.boxes.append(RawBox(name, (x1, y1, x2, y2), crowd=crowd, truncated=truncated))
    ids = [name for name in unnamed if name.startswith("/m/")]
    if ids:
        detail = f"no class-descriptions-boxable.csv names {len(ids)} classes, which are called as {min(ids)} is"
        found.append(Problem("written otherwise", place.shown, detail))
    return list(images.values())


# One table; its split is the name below root, such as train-annotations-bbox.csv, or NAME:FOLDER.
load_openimages = loader_of(lambda place, found: _read(place, find_descriptions(place.file, place.root), found))

OPENIMAGES = Format(
    load_openimages,
    layout="train-annotations-bbox.csv and class-descriptions-boxable.csv lie, with pictures such as train/ID.jpg",
    has_split=has_split,
    recognize=recognize,
    known_by="tables of Open Images, such as train-annotations-bbox.csv",
)
