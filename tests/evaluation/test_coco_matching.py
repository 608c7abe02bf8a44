"""COCO's matching against the reference's own verdicts and precision."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detres.evaluation.coco_matching import match, rank_in_group, recall_ap
from detres.evaluation.flat_boxes import best_first, flat_detections, flat_objects, image_turns
from detres.evaluation.voc_ap import FALSE_ALARM, HIT, NEITHER


def reference(ground_truth: dict[str, Any], results: list[dict[str, Any]]) -> COCOeval:
    with contextlib.redirect_stdout(io.StringIO()):
        truth, found = COCO(), COCO()
        truth.dataset, found.dataset = ground_truth, ground_truth | {"annotations": numbered(results)}
        truth.createIndex()
        found.createIndex()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def numbered(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": n + 1, "area": r["bbox"][2] * r["bbox"][3], "iscrowd": 0} | r for n, r in enumerate(results)]


@pytest.mark.parametrize("seed", range(25))
def test_verdicts_are_the_references_at_every_threshold(
    seed: int, random_scene: Callable[[int], tuple[dict[str, Any], list[dict[str, Any]]]]
) -> None:
    ground_truth, results = random_scene(seed)
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, results)
    evaluation = reference(ground_truth, results)
    rows = [row for row in evaluation.evalImgs if row and row["aRng"] == evaluation.params.areaRng[0]]
    for place, min_iou in enumerate(evaluation.params.iouThrs):
        matches = match(objects, found, float(min_iou))
        verdict, target = np.zeros(len(results), int), np.full(len(results), -1)
        for row in rows:
            for n, ignored, hit in zip(
                row["dtIds"], row["dtIgnore"][place], row["dtMatches"][place].astype(int), strict=True
            ):
                verdict[n - 1] = NEITHER if ignored else HIT if hit else FALSE_ALARM
                target[n - 1] = hit - 1 if hit and not ignored else -1
        assert matches.verdict.tolist() == verdict.tolist()
        assert matches.object.tolist() == target.tolist()


@pytest.mark.parametrize("seed", range(15))
def test_precision_is_the_references(seed: int, random_scene: Callable[[int], Any]) -> None:
    ground_truth, results = random_scene(seed)
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, results)
    precision, turns = reference(ground_truth, results).eval["precision"], image_turns(ground_truth)
    for place, min_iou in ((0, 0.5), (5, 0.75)):
        verdict, order = match(objects, found, min_iou).verdict, best_first(found, turns)
        for label in range(len(ground_truth["categories"])):
            rows = order[(found.label[order] == label) & (verdict[order] != NEITHER)]
            to_find = int(((objects.label == label) & ~objects.ignore).sum())
            ap, expected = recall_ap(verdict[rows] == HIT, to_find), precision[place, :, label, 0, 2]
            assert ap is None if to_find == 0 else ap == pytest.approx(expected.mean(), abs=1e-12)


def test_what_is_beyond_the_hundred_best_of_an_image_and_class_counts_for_nothing(scene: Callable[..., Any]) -> None:
    box = [0.0, 0.0, 4.0, 4.0]
    away = [30.0, 30.0, 4.0, 4.0]
    found = [(0, 0, away, 0.9)] * 100 + [(0, 0, box, 0.8), (0, 1, box, 0.8)]
    ground_truth, results = scene([(0, 0, box), (0, 1, box)], found)
    matches = match(flat_objects(ground_truth), flat_detections(ground_truth, results))
    assert matches.verdict.tolist() == [FALSE_ALARM] * 100 + [NEITHER, HIT]
    assert matches.found(2).tolist() == [False, True]


def test_ranks_begin_anew_in_every_group() -> None:
    ranks = rank_in_group(np.array([1, 0, 1, 1]), np.array([0.5, 0.1, 0.9, 0.5]))
    assert ranks.tolist() == [1, 0, 0, 2]


def test_ap_of_a_hit_between_two_false_alarms() -> None:
    # Precision is 1/2 up to recall 1/2, which 51 of the 101 points are at or below.
    assert recall_ap(np.array([False, True, False]), 2) == pytest.approx(0.5 * 51 / 101)
    assert recall_ap(np.zeros(0, bool), 3) == 0
    assert recall_ap(np.array([False]), 0) is None


def test_nothing_is_matched_where_nothing_is(scene: Callable[..., Any]) -> None:
    ground_truth, results = scene([], [])
    matches = match(flat_objects(ground_truth), flat_detections(ground_truth, results))
    assert len(matches.verdict) == len(matches.object) == 0
