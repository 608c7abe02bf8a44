"""The boxes a report shows on its pictures, as plain numbers for JSON.

G objects, D detections of all images together. Boxes and shares are whole thousandths, boxes those of the picture's
sides.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.box_pairs import paired_iou
from detres.evaluation.error_kinds import FOUND, Judged
from detres.evaluation.flat_boxes import FlatDetections, FlatObjects

# What an object's score says where it has none.
UNFOUND, IGNORED = -1, -2


def picture_data(
    image: int, size: tuple[int, int], objects: FlatObjects, found: FlatDetections, judged: Judged
) -> dict[str, Any]:
    """Objects and detections of one image. size: its height and width in pixels.

    objects: rows of label, x, y, width, height, and the score of the hit, UNFOUND or IGNORED.
    detections: rows of label, x, y, width, height, score, kind (see Judged), and the IoU with the object it found or
    aims at; best last, so that it is drawn on top.
    """
    sides = np.array([size[1], size[0], size[1], size[0]])
    theirs, mine = np.flatnonzero(objects.image == image), np.flatnonzero(found.image == image)
    mine = mine[np.argsort(found.scores[mine], kind="stable")]
    hits = mine[judged.kind[mine] == FOUND]
    state = np.where(objects.ignore, IGNORED, UNFOUND)
    state[judged.object[hits]] = _thousandths(found.scores[hits])
    things = [objects.label[theirs, None], _thousandths(objects.boxes[theirs] / sides), state[theirs, None]]
    target = judged.object[mine]
    partner = objects.boxes[target] if len(objects.boxes) else found.boxes[mine]
    overlap = np.where(target >= 0, paired_iou(found.boxes[mine], partner), 0.0)
    columns = [
        found.label[mine, None],
        _thousandths(found.boxes[mine] / sides),
        _thousandths(found.scores[mine, None]),
        judged.kind[mine, None],
        _thousandths(overlap[:, None]),
    ]
    return {"objects": np.hstack(things).tolist(), "detections": np.hstack(columns).tolist()}


def _thousandths(values: NDArray[np.float64]) -> NDArray[np.int64]:
    return (values * 1000).round().astype(np.int64)
