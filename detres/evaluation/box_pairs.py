"""Detections beside the objects they may stand for, as flat arrays of pairs.

G objects, D detections, P pairs. Boxes are (…, 4) float64 x, y, width, height.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Pairs looked at together: a dozen arrays of so many numbers lie in memory at a time.
_BLOCK = 1 << 21


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs that overlap. detection, object: (P,) int64, detections rising, the objects of each rising. iou: (P,)."""

    detection: NDArray[np.int64]
    object: NDArray[np.int64]
    iou: NDArray[np.float64]

    def select(self, rows: NDArray) -> Overlaps:
        """Some of the pairs, by a mask or by rising places."""
        return Overlaps(self.detection[rows], self.object[rows], self.iou[rows])

    def best(self, detections: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """For each of D detections the object it overlaps most, the first of equals, and their IoU: (D,) -1, (D,) 0
        where it has none."""
        target, best = np.full(detections, -1, np.int64), np.zeros(detections)
        if len(self.detection):
            # Pairs of one detection are neighbours: `first` is where each detection's pairs begin.
            first = np.flatnonzero(np.append(True, self.detection[1:] != self.detection[:-1]))
            best[self.detection[first]] = np.maximum.reduceat(self.iou, first)
            winning = np.flatnonzero(self.iou == best[self.detection])
            winners, place = np.unique(self.detection[winning], return_index=True)
            target[winners] = self.object[winning[place]]
        return target, best


def overlaps(
    object_groups: NDArray[np.int64],
    object_boxes: NDArray[np.float64],
    detection_groups: NDArray[np.int64],
    detection_boxes: NDArray[np.float64],
    *,
    min_iou: float = 0.0,
    of_detection: bool = False,
) -> Overlaps:
    """Every detection with every object of its group whose IoU is at least min_iou.

    groups: (G,), (D,) such as the image, or the image and the class in one number. of_detection: what both share is
    divided by the detection's area instead of the union, as COCO does for crowd regions.
    """
    order = np.argsort(object_groups, kind="stable")
    begin = np.searchsorted(object_groups[order], detection_groups, side="left")
    counts = np.searchsorted(object_groups[order], detection_groups, side="right") - begin
    ends = np.cumsum(counts)
    found = []
    for block in range(int(ends[-1]) // _BLOCK + 1 if len(ends) else 0):
        rows = slice(*np.searchsorted(ends, [block * _BLOCK, (block + 1) * _BLOCK], side="right").tolist())
        # The detection whose pairs lie across a border belongs to the block they end in.
        detection = np.repeat(np.arange(rows.start, rows.stop), counts[rows])
        place = np.arange(len(detection)) - np.repeat(np.cumsum(counts[rows]) - counts[rows], counts[rows])
        candidate = order[np.repeat(begin[rows], counts[rows]) + place]
        iou = paired_iou(detection_boxes[detection], object_boxes[candidate], of_first=of_detection)
        found.append(Overlaps(detection, candidate, iou).select(iou >= min_iou))
    if not found:
        return Overlaps(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    return Overlaps(
        np.concatenate([each.detection for each in found]),
        np.concatenate([each.object for each in found]),
        np.concatenate([each.iou for each in found]),
    )


def paired_iou(
    boxes: NDArray[np.float64], others: NDArray[np.float64], *, of_first: bool = False
) -> NDArray[np.float64]:
    """IoU of each row's two boxes, (P, 4) and (P, 4) -> (P,); 0 where they do not meet.

    of_first: over the first box's area instead of the union.
    """
    sides = np.minimum(boxes[:, :2] + boxes[:, 2:], others[:, :2] + others[:, 2:]) - np.maximum(
        boxes[:, :2], others[:, :2]
    )
    shared = np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)
    area = boxes[:, 2] * boxes[:, 3]
    whole = area if of_first else area + others[:, 2] * others[:, 3] - shared
    return np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
