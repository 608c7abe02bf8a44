"""PASCAL VOC's average precision, by area and by 11 points, for all classes and images at once.

K classes, G objects, D detections of all images together.

The devkit counts pixels: a box from xmin to xmax inclusive is xmax - xmin + 1 wide. The same box in continuous edges
runs from xmin - 1 to xmax (structures.py states the convention), so its width and every overlap are the devkit's own.

Of equal scores the detection given first goes first, as the devkit takes the one that stands first in its file. Our own
evaluations give them by the ids of their images (DetectionEvaluator.flat), whatever the order of the set.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.box_pairs import overlaps
from detres.evaluation.flat_boxes import (
    FlatDetections,
    FlatObjects,
    flat_detections,
    flat_objects,
    image_and_class,
)

HIT, FALSE_ALARM, NEITHER = 1, 0, -1


def voc_metrics(
    ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]] | FlatDetections, *, min_iou: float = 0.5
) -> dict[str, Any]:
    """Mean and per-class average precision of the VOC challenges.

    ground_truth: an instances dict in COCO's layout; what it marks as crowd, ignore or difficult is neither hit nor
    miss. detections: COCO's results format.
    Returns mAP50 (area under the curve, 2010 and later), mAP50_07 (11 points, 2007) and per_class {name: {voc_AP50,
    voc_AP50_07}}: fractions in 0..1, None for a class with nothing to find, which the means leave out.
    Source: Everingham et al. 2010, section 4.2; VOCevaldet.m of the devkit.
    """
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, detections)
    names = [category["name"] for category in ground_truth["categories"]]
    per_class: dict[str, dict[str, float | None]] = {
        name: {"voc_AP50": area_ap(hits, to_find), "voc_AP50_07": eleven_point_ap(hits, to_find)}
        for name, (hits, to_find) in zip(names, class_hits(objects, found, len(names), min_iou), strict=True)
    }
    return {
        "mAP50": _mean([row["voc_AP50"] for row in per_class.values()]),
        "mAP50_07": _mean([row["voc_AP50_07"] for row in per_class.values()]),
        "per_class": per_class,
    }


def class_hits(
    objects: FlatObjects, found: FlatDetections, classes: int, min_iou: float = 0.5
) -> list[tuple[NDArray[np.int64], int]]:
    """For each class its detections, 1 for a hit, 0 for a false alarm, best first, and how many objects to find.

    Detections that are neither are left out.
    """
    verdicts, _ = judge_detections(objects, found, min_iou)
    # Stable, so that of equal scores the one given first goes first.
    best_first = np.argsort(-found.scores, kind="stable")
    best_first = best_first[verdicts[best_first] != NEITHER]
    verdicts, labels = verdicts[best_first], found.label[best_first]
    to_find = np.bincount(objects.label[~objects.ignore], minlength=classes).tolist()
    return [(verdicts[labels == label], to_find[label]) for label in range(classes)]


def area_ap(hits: NDArray[np.int64], to_find: int) -> float | None:
    """Area under precision against recall, made falling; None where there is nothing to find.

    hits: (D,) 1 for a hit, 0 for a false alarm, best first. to_find: objects that are not difficult.
    """
    if to_find == 0:
        return None
    precision = falling_precision(hits)
    # Recall only grows at a hit, each time by 1 / to_find.
    return float(precision[hits == HIT].sum() / to_find)


def eleven_point_ap(hits: NDArray[np.int64], to_find: int) -> float | None:
    """Mean of the best precision at recall 0, 0.1, ..., 1 or more; None where there is nothing to find.

    hits, to_find: as for area_ap. Thresholds are compared in whole numbers, 10 * hits >= i * to_find: in floating point
    a recall of 3 / 10 may miss 0.3.
    """
    if to_find == 0:
        return None
    # Falling precision at d is the best from d on, and the hits only grow, so the first place that reaches i serves.
    precision = np.append(falling_precision(hits), 0.0)
    first = np.searchsorted(10 * np.cumsum(hits), to_find * np.arange(11))
    return float(precision[first].sum() / 11)


def judge_detections(
    objects: FlatObjects, found: FlatDetections, min_iou: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(D,) HIT, FALSE_ALARM or NEITHER, and (D,) the object each overlaps most, -1 where it has none to overlap.

    Each detection goes to the object of its image and class it overlaps most (the first of equals), taken or not: of
    those that reach min_iou the one with the best score (the first of equals) hits, the others are false alarms, and
    where the object is difficult all are neither.
    """
    target, overlap = _most_overlapped(objects, found)
    verdicts = np.full(len(found.scores), FALSE_ALARM, np.int64)
    close = np.flatnonzero((target >= 0) & (overlap >= min_iou))
    difficult = objects.ignore[target[close]]
    verdicts[close[difficult]] = NEITHER
    rivals = close[~difficult]
    rivals = rivals[np.argsort(-found.scores[rivals], kind="stable")]
    _, winners = np.unique(target[rivals], return_index=True)
    verdicts[rivals[winners]] = HIT
    return verdicts, target


def _most_overlapped(objects: FlatObjects, found: FlatDetections) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each detection the object of its image and class it overlaps most and their IoU: (D,) with -1 where it has
    none, (D,)."""
    object_group, detection_group = image_and_class(objects, found)
    return overlaps(object_group, objects.boxes, detection_group, found.boxes).best(len(found.scores))


def falling_precision(hits: NDArray[np.int64]) -> NDArray[np.float64]:
    """(D,) the best precision at each place or any later one."""
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return np.maximum.accumulate(precision[::-1])[::-1]


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
