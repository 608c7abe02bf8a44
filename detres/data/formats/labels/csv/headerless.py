"""Tables without a header: those of Keras-RetinaNet, and what Google's AutoML Vision and Vertex AI import.

Keras-RetinaNet: path,x1,y1,x2,y2,class, and path,,,,, for an image of nothing (github.com/fizyr/keras-retinanet).
AutoML: [set,]path,label, then four corners x,y of which the second and fourth may be empty, in shares of the image's
sides; set is TRAIN, VALIDATION, TEST or UNASSIGNED (cloud.google.com/vision/automl/object-detection/docs/csv-format),
or training, validation, test in Vertex AI.
"""

from __future__ import annotations

from collections.abc import Sequence

from detres.data.detection.indexing import RawBox
from detres.data.formats.labels.csv.forms import Entry, Form, box_or_problem, is_nothing, label_of, number
from detres.data.formats.labels.shapes import box_of_points
from detres.data.images.files import is_image
from detres.errors import DataError

_SETS = frozenset({"train", "validation", "test", "unassigned", "training", "validate", "testing"})
_HEADER = "image,xmin,ymin,xmax,ymax,class (or image,x,y,width,height,class)"


def headerless_form(rows: Sequence[Sequence[str]], where: str) -> Form | None:
    """How rows are read, as the first of them that has a box shows; None where they are no such table.

    Raises DataError where rows begin with an image, and which number is what cannot be told.
    """
    for cells in rows:
        if cells[0].lower() in _SETS and len(cells) > 1 and is_image(cells[1]):
            return Form("AutoML's table", _read_automl, shares=True, subsets=True)
        if not is_image(cells[0]):
            return None
        if all(map(is_nothing, cells[1:])):
            continue
        if len(cells) == 10 and number(cells[1]) is None:
            return Form("Vertex AI's table", lambda row: _read_automl(["", *row]), shares=True)
        numeric = [number(cell) is not None for cell in cells[1:]]
        if numeric == [True] * 4 + [False]:
            return Form("Keras-RetinaNet's table", _read_retinanet, in_doubt=True)
        if numeric == [False] + [True] * 4:
            return Form("a table of path, class, corners", lambda row: _read_retinanet(_class_last(row)), in_doubt=True)
        if sum(numeric) >= 4:
            raise DataError(
                f"{where}: it has no header, and which column of a line such as {','.join(cells)[:80]!r} is what "
                f"cannot be told; write one as its first line, such as {_HEADER}"
            )
        return None
    # Nothing but images of nothing.
    return Form("Keras-RetinaNet's table", _read_retinanet) if rows and all(len(row) == 6 for row in rows) else None


def refuse_sides(boxes: Sequence[RawBox], where: str) -> None:
    """Raises DataError where numbers that nothing names are no corners: in one of ten boxes the second is no further.

    A slip is one; where there are many, they are sides.
    """
    bad = [box for box in boxes if box.xyxy[2] <= box.xyxy[0] or box.xyxy[3] <= box.xyxy[1]]
    if len(bad) * 10 > len(boxes):
        shown = ", ".join(f"{value:g}" for value in bad[0].xyxy)
        raise DataError(
            f"{where}: it has no header, and its numbers are taken for xmin, ymin, xmax, ymax, which {len(bad)} of "
            f"{len(boxes)} boxes cannot be, such as {shown}; write a header as its first line: {_HEADER}"
        )


def _read_retinanet(cells: Sequence[str]) -> Entry | str:
    if not cells[0]:
        return "it names no image"
    if all(map(is_nothing, cells[1:])):
        return Entry(cells[0], None)
    if len(cells) != 6:
        return f"it has {len(cells)} columns, expected path, four numbers and a class"
    box = box_or_problem(label_of(cells[5]), cells[5], [number(cell) for cell in cells[1:5]], cells[1:5])
    return box if isinstance(box, str) else Entry(cells[0], box)


def _class_last(cells: Sequence[str]) -> list[str]:
    return [*cells[:1], *cells[2:], *cells[1:2]]


def _read_automl(cells: Sequence[str]) -> Entry | str:
    subset, image, label, *corners = [*cells, *[""] * 10][:11]
    if not image:
        return "it names no image"
    if all(map(is_nothing, corners)) and is_nothing(label):
        return Entry(image, None, subset=subset.lower())
    points = [pair for pair in zip(corners[::2], corners[1::2], strict=True) if any(pair)]
    around = box_of_points(*zip(*points, strict=True)) if points else None
    box = box_or_problem(label_of(label), label, around or [None] * 4, corners)
    return box if isinstance(box, str) else Entry(image, box, subset=subset.lower())
