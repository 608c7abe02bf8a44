"""labelme's JSON files, one a picture, beside it or in a folder of their own; also what X-AnyLabeling writes.

    {"shapes": [{"label": "cat", "points": [[1, 2], [11, 10]], "shape_type": "rectangle", "flags": {}}],
     "imagePath": "a.jpg", "imageHeight": 40, "imageWidth": 60}

A rectangle is two opposite corners (in others' files four), a circle its centre and a point on it, a mask its first and
last pixel, a polygon or a turned rectangle its points; each becomes the box around it. As labelme's own converters have
it, shapes of one label and group_id are parts of one object, rectangles apart. difficult and crowd, of a shape or among
its flags, mean what they say. Points and lines are told, and left out.
Source: labelme's README and examples, github.com/wkentaro/labelme.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detres.data.detection.indexing import RawBox
from detres.data.formats.format import Format, Recognized
from detres.data.formats.labels.drawn import DrawnImage, Slips, image_size, label_name, loader_of, quoted
from detres.data.formats.labels.json_files import ends_of, read_json
from detres.data.formats.labels.recognizing import recognized
from detres.data.formats.labels.shapes import Box, box_of_points, numbers_of
from detres.data.formats.labels.splits import SplitPlace, has_split
from detres.data.images.files import list_images
from detres.data.looking import Look, look
from detres.data.problems import Problem
from detres.data.split_words import split_of
from detres.data.values import flag
from detres.errors import DataError
from detres.files.many import read_all
from detres.words import number_of

# The picture itself may be in it.
_MOST_BYTES = 256 << 20
_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_OTHERS = re.compile(rb'"(imagePath|imageHeight|imageData|shape_type)"\s*:')
# How many files of a folder are looked at to know what it holds.
_LOOKED_AT = 20
_SHOWN = 3
# The shapes that have a box, by how many points they have at least.
_FEWEST = {
    **dict.fromkeys(("rectangle", "circle", "mask"), 2),
    **dict.fromkeys(("polygon", "oriented_rectangle", "rotation", "quadrilateral"), 3),
}
# Folders beside the images that label files lie in.
_LABEL_FOLDERS = ("annotations", "labels", "ann", "json", "labelme")


def recognize(place: Path) -> Recognized | None:
    """Whether a folder is such a set, itself or by its folders train/, val/ and so on; or a file of one picture."""
    if os.path.isfile(place):
        known = place.suffix.lower() == ".json" and _looks(place)
        return recognized(place.parent, {"train": [place.name]}, "a file of labelme's") if known else None
    here = look(place)
    if _mostly(here):
        return recognized(place, {"train": ["."]}, f"{here.counted(here.ending('.json'), 'JSON file')} of labelme's")
    splits: dict[str, list[str]] = {}
    for folder in here.folders:
        split = split_of(folder) or ("train" if folder.lower() in _LABEL_FOLDERS else None)
        if split is not None:
            labelled = [
                name for name in (folder, *(f"{folder}/{each}" for each in _LABEL_FOLDERS)) if _holds(place / name)
            ]
            splits.setdefault(split, []).extend(labelled[:1])
    splits = {split: names for split, names in splits.items() if names}
    if not splits:
        return None
    named = ", ".join(f"{name}/" for names in splits.values() for name in names)
    return recognized(place, splits, f"JSON files of labelme's in {named}")


def _holds(folder: Path) -> bool:
    try:
        return _mostly(look(folder))
    except DataError:
        return False  # one that may not be read holds nothing of ours


def _mostly(here: Look) -> bool:
    """Whether half of the first JSON files or more are labelme's."""
    some = here.ending(".json")[:_LOOKED_AT]
    return bool(some) and 2 * sum(_looks(here.place / name) for name in some) >= len(some)


def _looks(file: Path) -> bool:
    ends = ends_of(file)
    return ends.startswith(b"{") and bool(_SHAPES.search(ends) and _OTHERS.search(ends))


def _read(place: SplitPlace, found: list[Problem]) -> list[DrawnImage]:
    if os.path.isfile(place.file):
        return [image for image in [_read_file(place.file, place.shown, found)] if image is not None]
    if not os.path.isdir(place.file):
        raise DataError(f"{place.file}: there is no such folder of JSON files; check data.root and the split's name")
    names = sorted(name for name in _names_below(place.file) if name.lower().endswith(".json"))
    prefix = "" if place.shown in ("", ".") else f"{place.shown}/"
    # A list for each file, since several threads may read them.
    told: list[list[Problem]] = [[] for _ in names]
    paths = [(place.file / name, f"{prefix}{name}", slips) for name, slips in zip(names, told, strict=True)]
    read = read_all(lambda each: _read_file(*each), paths)
    found += [problem for slips in told for problem in slips]
    if not any(read):
        raise DataError(f"{place.file}: none of its {len(names)} JSON files is labelme's" + _first_of(found))
    _tell_unlabelled(place, names, found)
    return [image for image in read if image is not None]


def _first_of(found: Sequence[Problem]) -> str:
    return f"; the first: {found[0]}" if found else ""


def _names_below(folder: Path) -> list[str]:
    """The files in a folder and in those below it, as paths from it, without hidden ones."""
    names = []
    for below, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        start = os.path.relpath(below, folder)
        names += [name if start == "." else f"{start}/{name}" for name in files if not name.startswith(".")]
    return names


def _tell_unlabelled(place: SplitPlace, names: Sequence[str], found: list[Problem]) -> None:
    """Nobody looked at a picture without a file, or nobody saved it: it is no image of nothing."""
    labelled = {os.path.splitext(name)[0] for name in names}
    pictures = sorted(list_images(place.file).names)
    left = [name for name in pictures if os.path.splitext(name)[0] not in labelled]
    if left and len(left) < len(pictures):
        shown = ", ".join(left[:_SHOWN]) + (", …" if len(left) > _SHOWN else "")
        detail = (
            f"{number_of(len(left), 'picture')} without a JSON file, left out: {shown}; save one without shapes for "
            "each that shows nothing"
        )
        found.append(Problem("file not read", place.shown, detail))


def _read_file(file: Path, shown: str, found: list[Problem]) -> DrawnImage | None:
    try:
        content = read_json(file, most=_MOST_BYTES)
    except DataError as error:
        detail = f"{str(error).removeprefix(f'{file}: ')}; its image is left out"
        found.append(Problem("annotation malformed", shown, detail, costs_image=True))
        return None
    if not isinstance(content, dict) or not isinstance(content.get("shapes"), list):
        found.append(Problem("file not read", shown, "it has no shapes, and is none of labelme's files"))
        return None
    slips = Slips(shown, found)
    boxes = _boxes(content["shapes"], slips)
    slips.tell_others()
    size = image_size(content.get("imageHeight"), content.get("imageWidth"))
    return DrawnImage(_names(file, content.get("imagePath")), boxes, size)


def _names(file: Path, stated: object) -> tuple[object, ...]:
    """What the picture may be called: imagePath, relative to the JSON file; else as that file is."""
    name = stated.replace("\\", "/") if isinstance(stated, str) else ""
    beside = [os.path.normpath(os.path.join(os.path.abspath(file.parent), name))] if name else []
    own = os.path.join(os.path.abspath(file.parent), file.stem + os.path.splitext(name)[1])
    return (*beside, name or stated, own)


def _boxes(shapes: Sequence[object], slips: Slips) -> list[RawBox]:
    """The boxes of the shapes; the parts of an object are one."""
    boxes: list[RawBox] = []
    of_group: dict[tuple[str, str], RawBox] = {}
    for number, shape in enumerate(shapes):
        kind = (shape.get("shape_type") or "polygon") if isinstance(shape, dict) else "polygon"
        if not isinstance(kind, str) or kind not in _FEWEST:
            slips.other(kind)
            continue
        box = _box(shape, kind)
        if isinstance(box, str):
            slips.add(f"shape {number}: {box}")
            continue
        group = shape.get("group_id") if isinstance(shape, dict) and kind != "rectangle" else None
        first = of_group.setdefault((box.name, str(group)), box) if group is not None else box
        if first is box:
            boxes.append(box)
        else:
            _join(first, box)
    return boxes


def _join(whole: RawBox, part: RawBox) -> None:
    (x1, y1, x2, y2), (left, top, right, bottom) = whole.xyxy, part.xyxy
    whole.xyxy = (min(x1, left), min(y1, top), max(x2, right), max(y2, bottom))
    whole.difficult, whole.crowd = whole.difficult and part.difficult, whole.crowd or part.crowd


def _box(shape: object, kind: str) -> RawBox | str:
    """The box of a shape, or what is wrong with it."""
    if not isinstance(shape, dict):
        return f"it is {quoted(shape)}, no object"
    label = label_name(shape.get("label"))
    if label is None:
        return f"its label {quoted(shape.get('label'))} is no name"
    points = shape.get("points")
    pairs = points if isinstance(points, list) and all(_is_pair(point) for point in points) else []
    box = box_of_points(*zip(*pairs, strict=True), fewest=_FEWEST[kind]) if pairs else None
    if box is None or (kind == "circle" and len(pairs) != 2):
        return f"the points {quoted(points)} of a {label} are no {kind}"
    if kind == "circle":
        box = _around_circle(*numbers_of([*pairs[0], *pairs[1]]) or ())
    elif kind == "mask":
        box = (*box[:2], box[2] + 1, box[3] + 1)
    return RawBox(label, box, _marked(shape, "difficult"), _marked(shape, "crowd") or _marked(shape, "iscrowd"))


def _is_pair(point: object) -> bool:
    return isinstance(point, list) and len(point) == 2


def _around_circle(x: float, y: float, on_x: float, on_y: float) -> Box:
    radius = math.hypot(on_x - x, on_y - y)
    return x - radius, y - radius, x + radius, y + radius


def _marked(shape: Mapping[str, Any], mark: str) -> bool:
    flags = shape.get("flags")
    stated = shape.get(mark, flags.get(mark) if isinstance(flags, dict) else None)
    return bool(flag(stated))


# The JSON files of a folder; the split is the folder below root, "." the root itself, or FOLDER:IMAGES where the
# pictures lie elsewhere.
load_labelme = loader_of(_read, names_all=False)  # a file is of one picture

LABELME = Format(
    load_labelme,
    layout="a folder of pictures with labelme's JSON files beside them lies",
    has_split=has_split,
    recognize=recognize,
    known_by="labelme's JSON files beside their pictures",
)
