"""What each kind of error costs in AP: TIDE's error analysis.

K classes, G objects, D detections of all images together. The kinds and how each is mended: error_kinds.py.

Source: Bolya et al. 2020, section 2.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.coco_matching import recall_ap
from detres.evaluation.error_kinds import FOUND, KINDS, NOT_COUNTED, ErrorKind, Judged, judge_errors
from detres.evaluation.flat_boxes import (
    FlatDetections,
    FlatObjects,
    best_first,
    flat_detections,
    flat_objects,
    image_turns,
)


@dataclass(frozen=True, eq=False)
class ErrorAnalysis:
    """ap50: COCO's AP at IoU 0.5, as in metrics.json. counts: errors of each kind. costs: how much higher AP50 would be
    without this kind alone; they do not add up, since errors hide each other.
    false_positives, false_negatives: the same without any false alarm, and without any object that was not found.
    judged: every detection and object. AP50 and costs are fractions, None where there is nothing to find.
    """

    ap50: float | None
    counts: dict[ErrorKind, int]
    costs: dict[ErrorKind, float | None]
    false_positives: float | None
    false_negatives: float | None
    judged: Judged


def analyze_errors(
    ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]] | FlatDetections
) -> ErrorAnalysis:
    """Errors of detections in COCO's results format, their kinds and costs.

    ground_truth: an instances dict; see flat_boxes.py for what is ignored.
    A class of which nothing is left to find is left out of the mean, as one of which there was nothing at all; where no
    class is left, nothing is wrong any more, and AP50 is 1.
    """
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, detections)
    judged = judge_errors(objects, found)
    order = best_first(found, image_turns(ground_truth))
    board = _Board.of(objects, found, judged, len(ground_truth["categories"]), order)
    ap50 = board.ap()
    gains = {kind: _gain(_mended(board, objects, judged, kind), ap50) for kind in KINDS}
    unfound = np.bincount(objects.label[~objects.ignore & ~judged.found], minlength=len(board.to_find))
    return ErrorAnalysis(
        ap50=ap50,
        counts={
            kind: int((judged.missed if kind == "missed" else judged.kind == place).sum())
            for place, kind in enumerate(KINDS)
        },
        costs=gains,
        false_positives=_gain(board.without(judged.kind != FOUND), ap50),
        false_negatives=_gain(replace(board, to_find=board.to_find - unfound), ap50),
        judged=judged,
    )


@dataclass(frozen=True, eq=False)
class _Board:
    """What AP50 is computed from. label, hit, counted: (D,). to_find: (K,). order: (D,) detections, best first."""

    label: NDArray[np.int64]
    hit: NDArray[np.bool_]
    counted: NDArray[np.bool_]
    to_find: NDArray[np.int64]
    order: NDArray[np.int64]

    @staticmethod
    def of(
        objects: FlatObjects, found: FlatDetections, judged: Judged, classes: int, order: NDArray[np.int64]
    ) -> _Board:
        to_find = np.bincount(objects.label[~objects.ignore], minlength=classes)
        return _Board(found.label, judged.kind == FOUND, judged.kind != NOT_COUNTED, to_find, order)

    def without(self, rows: NDArray[np.bool_]) -> _Board:
        return replace(self, counted=self.counted & ~rows)

    def ap(self) -> float | None:
        """The mean over the classes of which there is something to find, None where there is none."""
        order = self.order[self.counted[self.order]]
        # Detections class by class, each best first.
        order = order[np.argsort(self.label[order], kind="stable")]
        ends = np.searchsorted(self.label[order], np.arange(1, len(self.to_find)))
        parts = np.split(self.hit[order], ends) if len(self.to_find) else []
        each = [recall_ap(hits, count) for hits, count in zip(parts, self.to_find.tolist(), strict=True)]
        defined = [ap for ap in each if ap is not None]
        return float(np.mean(defined)) if defined else None


def _mended(board: _Board, objects: FlatObjects, judged: Judged, kind: ErrorKind) -> _Board:
    """The board without one kind of error."""
    if kind == "missed":
        missed = np.bincount(objects.label[judged.missed], minlength=len(board.to_find))
        return replace(board, to_find=board.to_find - missed)
    wrong = judged.kind == KINDS.index(kind)
    claimed = np.flatnonzero(judged.claimant >= 0)
    claimed = claimed[wrong[judged.claimant[claimed]]]
    winners = judged.claimant[claimed]
    label, hit, lost = board.label.copy(), board.hit.copy(), wrong.copy()
    label[winners], hit[winners], lost[winners] = objects.label[claimed], True, False
    return replace(board, label=label, hit=hit, counted=board.counted & ~lost)


def _gain(board: _Board, before: float | None) -> float | None:
    if before is None:
        return None
    after = board.ap()
    return (1.0 if after is None else after) - before
