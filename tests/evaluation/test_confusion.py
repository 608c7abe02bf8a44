"""The confusion matrix against hand-made scenes, a plain reading, and the hits that AP counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from detres.evaluation.coco_matching import match
from detres.evaluation.confusion import confusion_matrix
from detres.evaluation.flat_boxes import flat_detections, flat_objects
from detres.evaluation.voc_ap import HIT, NEITHER

Scene = tuple[dict[str, Any], list[dict[str, Any]]]
A, B, AWAY = [0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 10.0, 10.0], [0.0, 30.0, 4.0, 4.0]


def plain_matrix(ground_truth: dict[str, Any], results: list[dict[str, Any]], min_score: float) -> list[list[int]]:
    from detres.evaluation.box_pairs import paired_iou

    kept = [r for r in results if r["score"] >= min_score]
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, kept)
    matches = match(objects, found)
    taken = {int(g): d for d, g in enumerate(matches.object) if g >= 0}
    for d in sorted(range(len(kept)), key=lambda d: -kept[d]["score"]):
        if matches.object[d] >= 0 or matches.verdict[d] == NEITHER:
            continue
        near = [
            (float(paired_iou(found.boxes[d : d + 1], objects.boxes[g : g + 1])[0]), g)
            for g in range(len(objects.label))
            if objects.image[g] == found.image[d] and not objects.ignore[g] and g not in taken
        ]
        if near and max(near)[0] >= 0.5:
            taken[max(near)[1]] = d
    classes = len(ground_truth["categories"])
    counts = [[0] * (classes + 1) for _ in range(classes + 1)]
    for g, label in enumerate(objects.label.tolist()):
        if not objects.ignore[g]:
            counts[label][int(found.label[taken[g]]) if g in taken else classes] += 1
    for d, label in enumerate(found.label.tolist()):
        if d not in taken.values() and matches.verdict[d] != NEITHER:
            counts[classes][label] += 1
    return counts


@pytest.mark.parametrize("seed", range(40))
def test_random_scenes_agree_with_a_plain_reading(seed: int, random_scene: Callable[[int], Scene]) -> None:
    ground_truth, results = random_scene(seed)
    matrix = confusion_matrix(ground_truth, results, min_score=0.3)
    assert matrix.tolist() == plain_matrix(ground_truth, results, 0.3)


@pytest.mark.parametrize("seed", range(10))
def test_without_a_score_the_diagonal_holds_the_hits_of_ap(seed: int, random_scene: Callable[[int], Scene]) -> None:
    ground_truth, results = random_scene(seed)
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, results)
    matrix = confusion_matrix(ground_truth, results, min_score=0.0)
    hits = found.label[match(objects, found).verdict == HIT]
    assert np.diag(matrix)[:-1].tolist() == np.bincount(hits, minlength=len(matrix) - 1).tolist()
    assert matrix[:-1].sum() == (~objects.ignore).sum(), "every object stands in one cell"


def test_a_hit_a_confusion_a_miss_and_a_false_alarm(scene: Callable[..., Scene]) -> None:
    ground_truth, results = scene(
        [(0, 0, A), (0, 0, B), (0, 1, AWAY)],
        [(0, 0, A, 0.9), (0, 1, B, 0.8), (0, 0, [30.0, 30.0, 5.0, 5.0], 0.7), (0, 1, AWAY, 0.2)],
    )
    assert confusion_matrix(ground_truth, results).tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_its_own_class_goes_first_even_where_another_scores_higher(scene: Callable[..., Scene]) -> None:
    ground_truth, results = scene([(0, 0, A)], [(0, 1, A, 0.9), (0, 0, A, 0.6)])
    assert confusion_matrix(ground_truth, results).tolist() == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_what_is_ignored_stands_in_no_cell(scene: Callable[..., Scene]) -> None:
    ground_truth, results = scene([(0, 0, A)], [(0, 0, A, 0.9)], ignored=(0,))
    assert confusion_matrix(ground_truth, results).sum() == 0


def test_nothing_at_all_is_a_matrix_of_zeros(scene: Callable[..., Scene]) -> None:
    assert confusion_matrix(*scene([], [])).tolist() == [[0, 0, 0]] * 3
    assert confusion_matrix(*scene([], [], classes=0)).tolist() == [[0]]
