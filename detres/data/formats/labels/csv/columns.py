"""Tables with a header, which says what each column is, whatever their order.

Known are the names that TensorFlow's examples and Roboflow write (filename, width, height, class, xmin, ymin, xmax,
ymax), Kaggle's (image_id, width, height, bbox, where bbox is "[x, y, width, height]"), and the usual others: corners,
an upper left corner with width and height, a centre with width and height; each also as bbox_… . What is called
relative or norm, such as x_relative_min, is in shares of the image's sides. width and height are the box's only where
nothing else says how far it reaches. A column split, set or subset makes splits: labels.csv#train.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from detres.data.formats.labels.csv.forms import ONLY_CLASS, Entry, Form, box_or_problem, is_nothing, label_of, number
from detres.data.formats.labels.drawn import image_size
from detres.data.values import flag

_IMAGE = (
    *("filename", "file_name", "image_path", "img_path", "filepath", "file_path", "path", "image_name", "img_name"),
    *("image_file", "image", "img", "file", "image_id", "img_id", "imageid", "external_id"),
)
_LABEL = (
    *("class", "class_name", "classname", "label", "label_name", "labelname", "category", "category_name", "object"),
    *("object_name", "name", "species", "labels", "cls", "class_id", "label_id", "category_id", "classid"),
)
_LEFT, _TOP = (
    ("xmin", "x_min", "x1", "left", "xtl", "x_1", "min_x"),
    ("ymin", "y_min", "y1", "top", "ytl", "y_1", "min_y"),
)
_RIGHT, _BOTTOM = (
    ("xmax", "x_max", "x2", "right", "xbr", "x_2", "max_x"),
    ("ymax", "y_max", "y2", "bottom", "ybr", "y_2", "max_y"),
)
_X, _Y = (*("x", "x_left", "topleft_x"), *_LEFT), (*("y", "y_top", "topleft_y"), *_TOP)
_CX = ("cx", "x_center", "xcenter", "center_x", "x_centre", "xc", "x_c")
_CY = ("cy", "y_center", "ycenter", "center_y", "y_centre", "yc", "y_c")
_WIDE, _HIGH = ("w", "width", "wide"), ("h", "height", "high")
_IMAGE_SIDES = (("height", "image_height", "img_height", "h_image"), ("width", "image_width", "img_width", "w_image"))
_BBOX = ("bbox", "box", "bounding_box", "boundingbox", "bboxes")
_SUBSET = ("split", "set", "subset", "partition", "ml_use", "dataset_split")
_LAYOUTS = {
    "corners": (_LEFT, _TOP, _RIGHT, _BOTTOM),
    "sides": (_X, _Y, _WIDE, _HIGH),
    "centre": (_CX, _CY, _WIDE, _HIGH),
}
_RELATIVE = re.compile(r"_?(relative|rel|normalized|normalised|norm)(?=_|$)")
_OF_BOX = re.compile(r"(bbox|box|bb)_(?=.)")
# What detectors write beside a box, and nobody who draws one.
_PREDICTED = ("score", "confidence", "conf", "probability", "prob")
# The header of Open Images, which is a format of its own.
_OPEN_IMAGES = {"imageid", "labelname", "xmin", "xmax", "ymin", "ymax"}

Places = Mapping[str, int]


def header_form(cells: Sequence[str]) -> Form | None:
    """How the rows below a header are read; None where it is no header, or says not where image or box are."""
    names = [_plain(cell) for cell in cells]
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    if set(places) >= _OPEN_IMAGES:
        return None
    image = _first(places, _IMAGE)
    bbox = _first(places, _BBOX)
    if image is None or (bbox is None and _layout(places) is None):
        return None
    return _Header(places, image, bbox).form()


def is_prediction(cells: Sequence[str]) -> bool:
    """Whether a header is of what a detector found."""
    return any(_OF_BOX.sub("", _plain(cell)) in _PREDICTED for cell in cells)


def _plain(cell: str) -> str:
    return re.sub(r"[\s\-./]+", "_", cell.strip().lstrip("#").lower()).strip("_")


def _first(places: Places, names: Sequence[str]) -> int | None:
    return next((places[name] for name in names if name in places), None)


def _layout(places: Places) -> tuple[str, tuple[int, int, int, int], bool] | None:
    """Which of the layouts the columns are of, where its numbers stand, and whether these are shares."""
    # Of bbox_width and width the first is the box's.
    spelled = dict(places) | {_OF_BOX.sub("", name): place for name, place in places.items() if _OF_BOX.match(name)}
    relative = {_RELATIVE.sub("", name): place for name, place in spelled.items() if _RELATIVE.search(name)}
    for known, shares in ((spelled, False), (relative, True)):
        for layout, columns in _LAYOUTS.items():
            found = [_first(known, names) for names in columns]
            x, y, right, bottom = found
            if x is not None and y is not None and right is not None and bottom is not None:
                return layout, (x, y, right, bottom), shares
    return None


class _Header:
    """What the columns of a header are."""

    def __init__(self, places: Places, image: int, bbox: int | None) -> None:
        self.image, self.bbox = image, bbox
        layout = _layout(places)
        self.layout = layout[0] if layout is not None else "a bbox"
        self.numbers: tuple[int, ...] = layout[1] if layout is not None else ()
        self.shares = layout is not None and layout[2]
        self.label = _first({name: at for name, at in places.items() if at != image}, _LABEL)
        self.subset = _first({name: at for name, at in places.items() if at != self.label}, _SUBSET)
        own = [
            _first({name: at for name, at in places.items() if at not in self.numbers}, side) for side in _IMAGE_SIDES
        ]
        self.size = own if None not in own else None
        self.marks = [_first(places, (mark, f"is_{mark}", f"is{mark}")) for mark in ("difficult", "crowd", "truncated")]

    def form(self) -> Form:
        return Form(
            f"a table of {self.layout}", self._read, shares=self.shares, headers=1, subsets=self.subset is not None
        )

    def _read(self, cells: Sequence[str]) -> Entry | str:
        image = _cell(cells, self.image)
        if not image:
            return "it names no image"
        size = None if self.size is None else image_size(*(_cell(cells, place) for place in self.size))
        subset = None if self.subset is None else _cell(cells, self.subset).lower()
        stated = self._stated(cells)
        label = ONLY_CLASS if self.label is None else _cell(cells, self.label)
        if all(map(is_nothing, stated)):
            return Entry(image, None, size, subset)
        if len(stated) != 4:
            return f"its box {','.join(stated)[:60]!r} is not four finite numbers"
        box = box_or_problem(label_of(label), label, self._corners(stated), stated)
        if isinstance(box, str):
            return box
        box.difficult, box.crowd, box.truncated = (bool(flag(_cell(cells, mark))) for mark in self.marks)
        return Entry(image, box, size, subset)

    def _stated(self, cells: Sequence[str]) -> list[str]:
        """The cells of the box, or the parts of the one cell that it is in."""
        if self.numbers:
            return [_cell(cells, place) for place in self.numbers]
        text = _cell(cells, self.bbox)
        return [text] if is_nothing(text) else re.findall(r"[^\s,;\[\](){}]+", text)

    def _corners(self, stated: Sequence[str]) -> list[float | None]:
        x, y, wide, high = map(number, stated)
        if self.layout == "corners" or x is None or y is None or wide is None or high is None:
            return [x, y, wide, high]
        if self.layout == "centre":
            return [x - wide / 2, y - high / 2, x + wide / 2, y + high / 2]
        return [x, y, x + wide, y + high]


def _cell(cells: Sequence[str], place: int | None) -> str:
    return cells[place] if place is not None and place < len(cells) else ""
