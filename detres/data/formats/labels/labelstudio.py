"""Label Studio's exports JSON and JSON-MIN: a list of tasks, each with its image and what was drawn on it.

    [{"data": {"image": "/data/upload/1/4fa0c6b1-a.jpg"}, "annotations": [{"result": [{"type": "rectanglelabels",
      "original_width": 60, "original_height": 40, "value": {"x": 10, "y": 25, "width": 50, "height": 20,
      "rotation": 0, "rectanglelabels": ["cat"]}}]}]}]

Numbers are percent of the image's sides. A rectangle is turned clockwise about its upper left corner, and becomes the
box around what it is then; so do ellipses (about their centre) and polygons. An image is a URL or a path of the server:
a file of its last part is looked for, also without the eight hexadecimal digits that an upload puts before its name.
JSON-MIN has the rectangles of a task in a list under the name of the tag, such as "label", and the image beside it.
Of several annotations of a task the one that is marked as ground truth is read, else the latest that was not cancelled.
Source: "Label Studio task format", labelstud.io/guide/task_format, and labelstud.io/tags/rectanglelabels.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from detres.data.detection.indexing import RawBox
from detres.data.formats.format import Format, Recognized
from detres.data.formats.labels.drawn import DrawnImage, Slips, image_size, label_name, loader_of, quoted
from detres.data.formats.labels.json_files import ends_of, read_list
from detres.data.formats.labels.recognizing import recognize_files
from detres.data.formats.labels.shapes import Box, box_of_ellipse, box_of_points, box_of_sides, box_of_turned
from detres.data.formats.labels.splits import SplitPlace, existing_file, has_split
from detres.data.images.files import is_image
from detres.data.problems import Problem
from detres.data.values import finite_number

_LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")
# Of results that are drawn: others, such as choices, are of the whole image.
_SHAPES = ("keypoint", "brush", "rectangle", "polygon", "ellipse", "vector", "bitmask", "video")
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
_TASK = re.compile(rb'\[\s*\{\s*"')
_DRAWN = re.compile(rb'"(rectanglelabels|polygonlabels|ellipselabels)"\s*:\s*\[')
_EMPTY_TASK = re.compile(rb'"(annotations|completions)"\s*:\s*\[\s*\{[^\[\]]*"result"\s*:\s*\[')
_LONGEST_URL = 4096


def recognize(place: Path) -> Recognized | None:
    """Whether a folder, or a file, is such a set."""
    return recognize_files(place, ".json", _looks, "labelstudio", "Label Studio's export")


def _looks(file: Path) -> bool:
    ends = ends_of(file)
    if not _TASK.match(ends):
        return False
    return bool(_DRAWN.search(ends) or (b'"data"' in ends and _EMPTY_TASK.search(ends)))


def _read(place: SplitPlace, found: list[Problem]) -> list[DrawnImage]:
    images = []
    slips = Slips(place.shown, found)
    unanswered = 0
    for number, task in enumerate(read_list(existing_file(place), "export of Label Studio")):
        shown = f"task {quoted(task.get('id', number) if isinstance(task, dict) else number)}"
        names = _image_names(task) if isinstance(task, dict) else ()
        if not names:
            slips.add(f"{shown} has no image", costs_image=True)
            continue
        results = _results(task)
        if results is None:
            unanswered += 1
            continue
        images.append(_image(names, results, shown, slips))
    slips.tell_others()
    if unanswered:
        detail = f"{unanswered} tasks have no annotation yet; their images are left out"
        found.append(Problem("file not read", place.shown, detail))
    return images


def _image_names(task: Mapping[str, Any]) -> tuple[object, ...]:
    """What the file of a task's image may be called: from its data, or in JSON-MIN from the task itself."""
    data = task.get("data") if isinstance(task.get("data"), dict) else task
    assert isinstance(data, Mapping), "either is an object"
    texts = {key: value for key, value in data.items() if isinstance(value, str) and len(value) <= _LONGEST_URL}
    keys = [key for key in ("image", "img", "image_url", "url", "captioning") if key in texts]
    stated = [texts[key] for key in keys] or [value for value in texts.values() if is_image(_file_of(value))]
    if not stated:
        return ()
    path = _file_of(stated[0])
    base = posixpath.basename(path)
    plain = _UPLOADED.sub("", base, count=1) if _UPLOADED.match(base) else base
    return tuple(dict.fromkeys(name for name in (path.lstrip("/"), base, plain) if name))


def _file_of(address: str) -> str:
    """The path of an address: of a server's own files, what it names behind ?d=."""
    try:
        parts = urlsplit(address.replace("\\", "/"))
        local = parse_qs(parts.query).get("d", [""])[0] if parts.path.endswith("local-files/") else ""
    except ValueError:
        return address
    return local or unquote(parts.path)


def _results(task: Mapping[str, Any]) -> list[Any] | None:
    """What was drawn in a task; None where nobody answered it."""
    answers = task.get("annotations", task.get("completions"))
    if isinstance(answers, list):
        given = [each for each in answers if isinstance(each, dict) and isinstance(each.get("result"), list)]
        given = [each for each in given if each.get("was_cancelled") is not True]
        truth = [each for each in given if each.get("ground_truth") is True]
        return (truth or given)[-1]["result"] if given else None
    # JSON-MIN: a list under the name of each tag; a task without any has none of these keys.
    return [each for value in task.values() if isinstance(value, list) for each in value]


def _image(names: tuple[object, ...], results: Sequence[Any], shown: str, slips: Slips) -> DrawnImage:
    image = DrawnImage(names, shares=True)
    for result in results:
        value = result.get("value", result) if isinstance(result, dict) else None
        labels = next((value[key] for key in _LABELS if key in value), None) if isinstance(value, dict) else None
        kind = result.get("type") if isinstance(result, dict) else None
        if labels is None and isinstance(value, dict) and kind != "rectangle" and "width" not in value:
            if isinstance(kind, str) and kind.startswith(_SHAPES):
                slips.other(kind)
            continue
        size = image_size(result.get("original_height"), result.get("original_width")) if kind is not None else None
        size = size or image_size((value or {}).get("original_height"), (value or {}).get("original_width"))
        box = _box(value, labels, size, result)
        if isinstance(box, str):
            slips.add(f"{shown}: {box}")
        else:
            image.boxes += box
            image.size = image.size or size
    return image


def _box(value: object, labels: object, size: tuple[int, int] | None, result: Mapping[str, Any]) -> list[RawBox] | str:
    """A box in shares for each label of a result, or what is wrong with it."""
    if not isinstance(value, dict):
        return f"a result is {quoted(value)}, no shape"
    names = [label_name(label) for label in labels] if isinstance(labels, list) else []
    good = [name for name in names if name is not None]
    if not good or len(good) < len(names):
        return f"its labels {quoted(labels)} are no names"
    turned = finite_number(result.get("image_rotation", value.get("image_rotation", 0)) or 0)
    if turned is None or turned % 360:
        return f"a {good[0]} was drawn on the image turned by {quoted(turned)} degrees"
    around = _around(value, size)
    if isinstance(around, str):
        return f"a {good[0]} {around}"
    x1, y1, x2, y2 = around
    return [RawBox(name, (x1 / 100, y1 / 100, x2 / 100, y2 / 100)) for name in dict.fromkeys(good)]


def _around(value: Mapping[str, Any], size: tuple[int, int] | None) -> Box | str:
    """The box around a shape in percent, or what is wrong with it."""
    rotation = finite_number(value.get("rotation") or 0)
    if rotation is None:
        return f"has the rotation {quoted(value['rotation'])}, which is no number"
    if rotation % 360 and size is None:
        return "is turned, and nothing says how large its image is: original_width and original_height are missing"
    height, width = size or (100, 100)
    # Percents of unequal sides are no lengths to turn.
    scale = (width / 100, height / 100)
    box: Box | None
    if "points" in value:
        pairs = value["points"]
        good = isinstance(pairs, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in pairs)
        return (box_of_points(*zip(*pairs, strict=True), fewest=3) if good and pairs else None) or "has no points"
    if "radiusX" in value:
        box = box_of_ellipse(*_scaled(value, ("x", "y", "radiusX", "radiusY"), scale), degrees=rotation)
    else:
        box = box_of_sides(*_scaled(value, ("x", "y", "width", "height"), scale))
        box = box and box_of_turned(box, rotation, (box[0], box[1]))
    if box is None:
        return f"has the shape {quoted(dict(value))}, expected x, y, width and height as numbers"
    across, down = scale
    return box[0] / across, box[1] / down, box[2] / across, box[3] / down


def _scaled(value: Mapping[str, Any], keys: Sequence[str], scale: tuple[float, float]) -> list[float | None]:
    """Percents as pixels: x, y, x, y."""
    numbers = [finite_number(value.get(key)) for key in keys]
    return [None if number is None else number * scale[place % 2] for place, number in enumerate(numbers)]


# One export; its split is the name below root, or NAME:FOLDER. A task that nobody annotated is left out and told; one
# that was submitted without a box is an image of nothing.
load_labelstudio = loader_of(_read)

LABELSTUDIO = Format(
    load_labelstudio,
    layout="a JSON or JSON-MIN export of Label Studio lies, with its images beside it or below",
    has_split=has_split,
    has_ignored=False,
    recognize=recognize,
    known_by="an export of Label Studio: JSON with a list of tasks",
)
