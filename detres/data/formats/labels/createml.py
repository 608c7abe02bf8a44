"""Create ML's JSON for object detectors: a list of images, each with its annotations.

    [{"image": "a.jpg", "annotations": [{"label": "cat", "coordinates": {"x": 30, "y": 20, "width": 10, "height": 8}}]}]

x and y are the centre of the box, in pixels from the upper left corner: what MLObjectDetector takes where nobody states
other units, origin or anchor, for which the file itself has no place. Apple's examples call the keys `imagefilename`
and `annotation` as well; Roboflow writes train/_annotations.createml.json, valid/…, test/….
Source: Apple, "Building an object detector data source", developer.apple.com/documentation/createml.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detres.data.detection.indexing import RawBox
from detres.data.formats.format import Format, Recognized
from detres.data.formats.labels.drawn import DrawnImage, Slips, label_name, loader_of, quoted
from detres.data.formats.labels.json_files import ends_of, read_list
from detres.data.formats.labels.recognizing import recognize_files
from detres.data.formats.labels.shapes import numbers_of
from detres.data.formats.labels.splits import SplitPlace, existing_file, has_split
from detres.data.problems import Problem

_IMAGE_KEYS = ("image", "imagefilename", "imageFilename")
_BOX_KEYS = ("annotations", "annotation")
_SIDES = ("x", "y", "width", "height")
# The first image, whichever of its keys comes first.
_BEGINS = re.compile(rb'\[\s*\{\s*"(image|imagefilename|imageFilename|annotations?)"\s*:')
_COORDINATES = re.compile(rb'"coordinates"\s*:\s*\{\s*"(x|y|width|height)"\s*:')
_NO_BOXES = re.compile(rb'"annotations?"\s*:\s*\[\s*\]')


def recognize(place: Path) -> Recognized | None:
    """Whether a folder, or a file, is such a set."""
    return recognize_files(place, ".json", _looks, "createml", "Create ML's JSON")


def _looks(file: Path) -> bool:
    ends = ends_of(file)
    return bool(_BEGINS.match(ends) and (_COORDINATES.search(ends) or _NO_BOXES.search(ends)))


def _read(place: SplitPlace, found: list[Problem]) -> list[DrawnImage]:
    images = []
    slips = Slips(place.shown, found)
    for number, entry in enumerate(read_list(existing_file(place), "Create ML file")):
        name = _first(entry, _IMAGE_KEYS) if isinstance(entry, dict) else None
        annotations = _first(entry, _BOX_KEYS) if isinstance(entry, dict) else None
        if name is None or not isinstance(annotations, list):
            slips.add(f"entry {number} has no image and list of annotations", costs_image=True)
            continue
        image = DrawnImage((name,))
        for annotation in annotations:
            box = _box(annotation)
            if isinstance(box, RawBox):
                image.boxes.append(box)
            else:
                slips.add(f"entry {number} ({quoted(name)}): {box}")
        images.append(image)
    return images


def _first(entry: dict[str, Any], keys: Sequence[str]) -> Any:
    return next((entry[key] for key in keys if key in entry), None)


def _box(annotation: object) -> RawBox | str:
    """The box of an annotation, or what is wrong with it."""
    if not isinstance(annotation, dict):
        return f"an annotation is {quoted(annotation)}, no object"
    label = label_name(annotation.get("label"))
    if label is None:
        return f"its label {quoted(annotation.get('label'))} is no name"
    stated = annotation.get("coordinates")
    numbers = numbers_of(stated.get(key) for key in _SIDES) if isinstance(stated, dict) else None
    if numbers is None:
        return f"coordinates {quoted(stated)} of a {label} are no x, y, width and height"
    x, y, width, height = numbers
    return RawBox(label, (x - width / 2, y - height / 2, x + width / 2, y + height / 2))


# One file; its split is the name below root, or NAME:FOLDER.
load_createml = loader_of(_read)

CREATEML = Format(
    load_createml,
    layout="a JSON of Create ML's lies with its images, such as train/_annotations.createml.json",
    has_split=has_split,
    has_ignored=False,
    recognize=recognize,
    known_by="Create ML's JSON, such as _annotations.createml.json",
)
