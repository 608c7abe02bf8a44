"""Which detection finds which object, by COCO's rules, and precision at COCO's recalls.

G objects, D detections of all images together. Metrics come from the reference (coco_ap.py), which does not tell whose
hit was whose; the two agree number for number, as the tests of this file hold.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.box_pairs import Overlaps, overlaps
from detres.evaluation.flat_boxes import FlatDetections, FlatObjects, image_and_class
from detres.evaluation.voc_ap import FALSE_ALARM, HIT, NEITHER

MAX_DETECTIONS = 100
RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True, eq=False)
class Matches:
    """verdict: (D,) HIT, FALSE_ALARM or NEITHER. object: (D,) the object each hit found, -1 for what is none."""

    verdict: NDArray[np.int64]
    object: NDArray[np.int64]

    def found(self, objects: int) -> NDArray[np.bool_]:
        """(G,) whether each object was found."""
        return np.isin(np.arange(objects), self.object)


def match(objects: FlatObjects, found: FlatDetections, min_iou: float = 0.5) -> Matches:
    """Best score first, each detection takes that free object of its image and class it overlaps most.

    One that is left without an object it overlaps by min_iou is a false alarm; but neither hit nor false alarm where
    min_iou of its own area lies in an ignored object of its class, or where it is not among the best MAX_DETECTIONS of
    its image and class. Of equal scores the detection given first goes first, of equal overlaps the object given last
    is taken.
    Source: https://cocodataset.org/#detection-eval.
    """
    # The reference compares so, since an IoU of 1 may be computed as slightly less.
    min_iou = min(min_iou, 1 - 1e-10)
    object_group, group = image_and_class(objects, found)
    rank = rank_in_group(group, found.scores)
    pairs = overlaps(object_group, objects.boxes, group, found.boxes, min_iou=min_iou)
    pairs = pairs.select(~objects.ignore[pairs.object] & (rank[pairs.detection] < MAX_DETECTIONS))
    taken = assign_best_first(pairs, rank, len(objects.label))
    verdict = np.where(taken >= 0, HIT, FALSE_ALARM)
    verdict[(taken < 0) & ((rank >= MAX_DETECTIONS) | _in_ignored(objects, found, min_iou))] = NEITHER
    return Matches(verdict, taken)


def assign_best_first(pairs: Overlaps, rank: NDArray[np.int64], objects: int) -> NDArray[np.int64]:
    """(D,) the object each detection takes, -1 for none: in the order of their ranks, each the free one it overlaps
    most.

    rank: (D,) the place of each detection among those it competes with, which no two of these share.
    """
    target, is_free = np.full(len(rank), -1, np.int64), np.ones(objects, np.bool_)
    ranks = rank[pairs.detection]
    order = np.lexsort((pairs.object, pairs.iou, pairs.detection, ranks))
    detection, candidate, ranks = pairs.detection[order], pairs.object[order], ranks[order]
    # Detections of one rank compete with none of the others of this rank, so a round settles all of them.
    borders = np.flatnonzero(np.diff(ranks)) + 1
    for begin, end in itertools.pairwise([0, *borders.tolist(), len(ranks)]):
        free = begin + np.flatnonzero(is_free[candidate[begin:end]])
        if len(free):
            # Pairs of a detection are neighbours, the largest overlap last.
            last = free[np.append(detection[free[1:]] != detection[free[:-1]], True)]
            target[detection[last]] = candidate[last]
            is_free[candidate[last]] = False
    return target


def rank_in_group(groups: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """(D,) 0 for the best score of each group, 1 for the next, and so on; equal scores as they are given."""
    order = np.lexsort((-scores, groups))
    ordered = groups[order]
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order)) - np.searchsorted(ordered, ordered)
    return rank


def recall_ap(hits: NDArray[np.bool_], to_find: int) -> float | None:
    """Mean precision at COCO's 101 recalls, each the best of any higher recall; None where there is nothing to find.

    hits: (D,) whether each detection that counts is a hit, best first.
    """
    if to_find == 0:
        return None
    true = np.cumsum(hits)
    precision = true / np.arange(1, len(hits) + 1)
    falling = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(falling[np.searchsorted(true / to_find, RECALLS, side="left")].mean())


def _in_ignored(objects: FlatObjects, found: FlatDetections, min_iou: float) -> NDArray[np.bool_]:
    """(D,) whether so large a part of each detection lies in an ignored object of its class."""
    object_group, group = image_and_class(objects, found)
    rows = objects.ignore
    pairs = overlaps(object_group[rows], objects.boxes[rows], group, found.boxes, min_iou=min_iou, of_detection=True)
    return np.isin(np.arange(len(group)), pairs.detection)
