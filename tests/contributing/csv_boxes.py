"""Boxes in a file of `image,x1,y1,x2,y2,class` a line, in pixels; a name alone is an image of nothing.

A split is such a file. Classes are all that the files of the config name, sorted.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from detres.data.classes import class_name, select_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawBox, RawImage, index_images
from detres.data.formats.format import Format
from detres.data.inside import below
from detres.data.problems import Problem
from detres.data.values import finite_number
from detres.files.text import read_lines


def load_csv_boxes(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    exif: bool = True,
    max_pixels: int | None = None,
    strict: bool | None = False,
    sibling_splits: Iterable[str] = (),
) -> AnnotatedImages:
    """The images of one file. Raises DataError where it cannot be read, or no image of it can.

    sibling_splits: the config's other files, whose classes count, so that all agree on the labels.
    """
    found: list[Problem] = []
    images = _read(root, split, found)
    others = (image for name in sibling_splits if name != split for image in _read(root, name, []))
    known = sorted({box.name for image in [*images, *others] for box in image.boxes})
    return index_images(
        images,
        name=f"{root.name}-{Path(split).stem}",
        root=root,
        known_classes=known,
        classes=select_classes(classes, known, str(root / split)),
        exif=exif,
        max_pixels=max_pixels,
        strict=strict,
        problems=found,
    )


def _read(root: Path, split: str, found: list[Problem]) -> list[RawImage]:
    """The images in the order in which they come first; lines that are no box are problems."""
    images: dict[str, RawImage] = {}
    for number, line in enumerate(csv.reader(read_lines(root / split)), start=1):
        name = below(line[0], root)
        if name is None:
            found.append(Problem("name outside the set", split, f"line {number}: {line[0]}; left out"))
            continue
        image = images.setdefault(name, RawImage(name, name))
        if any(line[1:]):
            box = _box(line)
            if box is None:
                found.append(Problem("annotation malformed", split, f"line {number}: {','.join(line)}; left out"))
            else:
                image.boxes.append(box)
    return list(images.values())


def _box(line: Sequence[str]) -> RawBox | None:
    corners = [finite_number(value) for value in line[1:5]]
    if len(line) != 6 or None in corners or not class_name(line[5]):
        return None
    return RawBox(class_name(line[5]), tuple(corners))


CSV_BOXES = Format(
    load_csv_boxes,
    layout="a file of lines image,x1,y1,x2,y2,class for each split lies",
    has_split=lambda root, split: (root / split).is_file(),
    has_ignored=False,
)
