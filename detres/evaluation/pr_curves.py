"""Precision against recall of every class, at COCO's ten thresholds and by VOC, and AP by size.

T IoU thresholds 0.5:0.05:0.95, R recalls 0:0.01:1, K classes. Precision is made falling, as AP takes it: the best at
any higher recall.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.coco_ap import CocoBackend, coco_curves
from detres.evaluation.flat_boxes import FlatDetections, flat_detections, flat_objects
from detres.evaluation.voc_ap import HIT, class_hits, falling_precision

IOUS = tuple(round(0.5 + 0.05 * place, 2) for place in range(10))
SIZES = ("all", "small", "medium", "large")


@dataclass(frozen=True, eq=False)
class CocoCurves:
    """precision: (K, T, R) for all sizes. size_ap: (K, 4) AP of SIZES. nan where there is nothing to find."""

    precision: NDArray[np.float64]
    size_ap: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class VocCurve:
    """recall, precision: (H,) at each hit, best score first; None for a class with nothing to find. Each hit is worth
    the same step of recall, so the sum of precision over the objects to find is the area."""

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


def coco_class_curves(
    ground_truth: dict[str, Any],
    detections: Sequence[dict[str, Any]] | FlatDetections,
    *,
    backend: CocoBackend = "faster",
) -> CocoCurves:
    """The curves whose means are AP, AP50 and AP75 of a class, and AP of a class by the size of its objects.

    Small: area below 32², medium: to 96², large: above; up to 100 detections an image.
    Source: https://cocodataset.org/#detection-eval.
    """
    precision, _ = coco_curves(ground_truth, detections, backend=backend)
    best = np.where(precision > -1, precision, np.nan)[..., -1]
    # A class has all of its T×R numbers or none of them.
    return CocoCurves(np.moveaxis(best[..., 0], -1, 0), best.mean(axis=(0, 1)))


def voc_class_curves(
    ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]] | FlatDetections, *, min_iou: float = 0.5
) -> list[VocCurve | None]:
    """The curves whose areas are VOC's average precisions.

    Source: Everingham et al. 2010, section 4.2.
    """
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, detections)
    return [
        _curve(hits, to_find) if to_find else None
        for hits, to_find in class_hits(objects, found, len(ground_truth["categories"]), min_iou)
    ]


def _curve(hits: NDArray[np.int64], to_find: int) -> VocCurve:
    at_hits = hits == HIT
    return VocCurve((np.cumsum(hits) / to_find)[at_hits], falling_precision(hits)[at_hits])
