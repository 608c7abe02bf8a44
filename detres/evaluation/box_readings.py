"""Whether the boxes of a file say something else than x, y, width, height: they score nothing, and nothing looks wrong.

D detections, G objects. Boxes are (D, 4) float64.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.box_pairs import overlaps
from detres.evaluation.flat_boxes import FlatDetections, FlatObjects, flat_objects, image_and_class

_USUAL = "x, y, width, height"
_LAYOUTS = (_USUAL, "x1, y1, x2, y2", "centre x, centre y, width, height")
_HIT_IOU = 0.5
_LEAST_SHARE = 0.1


def other_reading(ground_truth: dict[str, Any], found: FlatDetections) -> str | None:
    """What people should know whose boxes hit far more objects in another layout, or as shares of the image.

    Of the best-scored detections, as many as there are objects, those are counted that overlap one of their class by
    half. Without objects, boxes are taken for corners where these lie in their images and many would end outside.
    """
    objects = flat_objects(ground_truth)
    best = found.select(np.argsort(-found.scores, kind="stable")[: len(objects.label) or None])
    if not len(best.scores):
        return None
    sides = _sides_of_images(ground_truth, best)
    readings = {
        layout + (" as shares of the image" if shares else ""): _read(
            best.boxes * sides if shares else best.boxes, layout
        )
        for shares, layout in product((False, True), _LAYOUTS)
        if not shares or best.boxes.max() <= 2.0
    }
    if not len(objects.label):
        return _told(_LAYOUTS[1]) if _are_corners(best.boxes, sides) else None
    hits = {name: _hits(objects, best, boxes) for name, boxes in readings.items()}
    name = max(hits, key=lambda each: hits[each])
    if hits[name] <= 2 * hits[_USUAL] or hits[name] < _LEAST_SHARE * len(best.scores):
        return None
    return f"{_told(name)}: of the best {len(best.scores)}, {hits[name]} would hit an object so, and {hits[_USUAL]} do"


def _told(name: str) -> str:
    return f"its boxes look like {name}, and are read as {_USUAL} in pixels, as COCO's results format has it"


def _sides_of_images(ground_truth: dict[str, Any], found: FlatDetections) -> NDArray[np.float64]:
    """(D, 4) width, height, width, height of each detection's image."""
    sizes = np.array([[image["width"], image["height"]] * 2 for image in ground_truth["images"]], np.float64)
    return sizes.reshape(-1, 4)[found.image]


def _read(boxes: NDArray[np.float64], layout: str) -> NDArray[np.float64]:
    """Boxes of a layout as x, y, width, height; those that would have no area have none."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if layout == _LAYOUTS[1]:
        return np.concatenate([first, np.maximum(second - first, 0)], axis=1)
    return boxes if layout == _USUAL else np.concatenate([first - second / 2, second], axis=1)


def _hits(objects: FlatObjects, found: FlatDetections, boxes: NDArray[np.float64]) -> int:
    object_group, group = image_and_class(objects, found)
    pairs = overlaps(object_group, objects.boxes, group, boxes, min_iou=_HIT_IOU)
    return len(np.unique(pairs.detection))


def _are_corners(boxes: NDArray[np.float64], sides: NDArray[np.float64]) -> bool:
    """Whether nearly all are corners in order within their image, while many reach beyond it as width and height."""
    in_order = (boxes[:, 2:] > boxes[:, :2]).all(axis=1) & (boxes[:, 2:] <= sides[:, 2:] + 1).all(axis=1)
    beyond = (boxes[:, :2] + boxes[:, 2:] > sides[:, 2:] + 1).any(axis=1)
    return bool(in_order.mean() >= 0.99 and beyond.mean() >= _LEAST_SHARE)
