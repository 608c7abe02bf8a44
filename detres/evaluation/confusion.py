"""Which classes are taken for which: a confusion matrix of detections, with background as a class of its own.

K classes, G objects, D detections of all images together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.box_pairs import overlaps
from detres.evaluation.coco_matching import assign_best_first, match, rank_in_group
from detres.evaluation.flat_boxes import FlatDetections, flat_detections, flat_objects
from detres.evaluation.voc_ap import NEITHER


def confusion_matrix(
    ground_truth: dict[str, Any],
    detections: Sequence[dict[str, Any]] | FlatDetections,
    *,
    min_score: float = 0.5,
    min_iou: float = 0.5,
) -> NDArray[np.int64]:
    """(K + 1, K + 1) counts: objects of each class by the class they were found as, background last in both.

    The last column holds the objects nothing was found for, the last row the detections that stand for no object.
    Detections of at least min_score are matched to objects of their own class first, by COCO's rules (so the diagonal
    counts the hits of AP), and those left over to the objects left over, best score first, each to the object of its
    image it overlaps most by at least min_iou. What is ignored is in no cell, nor is what COCO does not count.
    """
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, detections)
    found = found.select(found.scores >= min_score)
    classes = len(ground_truth["categories"])
    matches = match(objects, found, min_iou)
    target = matches.object.copy()
    free = ~objects.ignore & ~matches.found(len(objects.label))
    left = (target < 0) & (matches.verdict != NEITHER)
    pairs = overlaps(objects.image, objects.boxes, found.image, found.boxes, min_iou=min_iou)
    pairs = pairs.select(free[pairs.object] & left[pairs.detection])
    mistaken = assign_best_first(pairs, rank_in_group(found.image, found.scores), len(objects.label))
    target = np.where(target >= 0, target, mistaken)
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    is_object, is_alarm = target >= 0, (target < 0) & left
    np.add.at(counts, (objects.label[target[is_object]], found.label[is_object]), 1)
    np.add.at(counts[classes], found.label[is_alarm], 1)
    unfound = ~objects.ignore & ~np.isin(np.arange(len(objects.label)), target)
    np.add.at(counts[:, classes], objects.label[unfound], 1)
    return counts
