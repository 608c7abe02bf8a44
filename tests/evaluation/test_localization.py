from __future__ import annotations

import pickle

import numpy as np
import pytest

from detres.evaluation.localization import LocalizationEvaluator, Located

HAND = [[10.0, 10.0, 30.0, 30.0]]
RIGHT, POOR = [12.0, 10.0, 32.0, 30.0], [20.0, 10.0, 40.0, 30.0]  # IoU 9/11 and 1/3


def area(box: np.ndarray) -> float:
    return max(box[2] - box[0], 0) * max(box[3] - box[1], 0)


def iou_by_hand(a: np.ndarray, b: np.ndarray) -> float:
    shared = area(np.array([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])]))
    return shared / (area(a) + area(b) - shared)


def boxes_near(random: np.random.Generator, count: int) -> np.ndarray:
    """Boxes of which many overlap by about a half."""
    corners = random.integers(0, 12, (count, 2)).astype(float)
    return np.concatenate([corners, corners + random.integers(8, 24, (count, 2))], axis=1)


def test_a_hand_computed_case() -> None:
    evaluator = LocalizationEvaluator(["cat", "dog"], ["a", "b", "c"], [0, 1, 1], [HAND, HAND, HAND])
    evaluator.add("a", Located(RIGHT, [1, 0], [RIGHT, RIGHT]))  # the second pair is right
    evaluator.add("b", Located(POOR, [1, 0], [POOR, RIGHT]))  # the right class with a poor box, and the other way round
    evaluator.add("c", Located(RIGHT, [1, 0], [RIGHT, POOR]))
    metrics = evaluator.summarize()
    assert metrics["true_class_error"] == pytest.approx(1 / 3)
    assert metrics["top1_error"] == pytest.approx(2 / 3)
    assert metrics["top5_error"] == pytest.approx(1 / 3)
    assert metrics["class_top5_error"] == 0.0
    assert metrics["per_class"] == {
        "cat": {"images": 1, "true_class_error": 0.0},
        "dog": {"images": 2, "true_class_error": 0.5},
    }


def test_errors_are_those_of_brute_force() -> None:
    random = np.random.default_rng(0)
    images, classes = 80, 9
    labels = random.integers(0, classes, images)
    truth = [boxes_near(random, int(random.integers(1, 4))) for _ in range(images)]
    evaluator = LocalizationEvaluator([f"c{k}" for k in range(classes)], list(range(images)), labels, truth)
    wrong_true, wrong1, wrong5 = [], [], []
    for image in range(images):
        guesses = random.permutation(classes)[:7]  # two too many, which must not count
        true_box, boxes = boxes_near(random, 1)[0], boxes_near(random, 7)
        evaluator.add(image, Located(true_box, guesses, boxes))
        wrong_true.append(not any(iou_by_hand(true_box, box) > 0.5 for box in truth[image]))
        right = [
            label == labels[image] and any(iou_by_hand(guess, box) > 0.5 for box in truth[image])
            for label, guess in zip(guesses, boxes, strict=True)
        ]
        wrong1.append(not right[0])
        wrong5.append(not any(right[:5]))
    metrics = evaluator.summarize()
    assert 0 < np.mean(wrong5) < np.mean(wrong1) < 1
    assert metrics["true_class_error"] == pytest.approx(np.mean(wrong_true))
    assert metrics["top1_error"] == pytest.approx(np.mean(wrong1))
    assert metrics["top5_error"] == pytest.approx(np.mean(wrong5))


def test_an_overlap_of_exactly_a_half_is_none() -> None:
    evaluator = LocalizationEvaluator(["cat"], ["a"], [0], [[[0.0, 0.0, 10.0, 10.0]]])
    evaluator.add("a", Located([0.0, 0.0, 10.0, 20.0]))
    assert evaluator.summarize()["true_class_error"] == 1.0


def test_any_box_of_the_image_will_do_and_without_a_classifier_pairs_are_undefined() -> None:
    evaluator = LocalizationEvaluator(["cat"], ["a"], [0], [[*HAND, [50.0, 50.0, 60.0, 60.0]]])
    evaluator.add("a", Located([50.0, 50.0, 60.0, 61.0]))
    metrics = evaluator.summarize()
    assert metrics["true_class_error"] == 0.0
    assert (metrics["top1_error"], metrics["top5_error"], metrics["class_top5_error"]) == (None, None, None)


def test_an_empty_set_has_no_error_and_what_was_left_out_counts_in_none() -> None:
    assert LocalizationEvaluator(["cat"], [], [], []).summarize()["true_class_error"] is None
    evaluator = LocalizationEvaluator(["cat"], ["a", "b"], [0, 0], [HAND, HAND])
    evaluator.leave_out(["a"])
    with pytest.raises(ValueError, match="1 of 2 images were neither added nor left out"):
        evaluator.summarize()
    evaluator.add("b", Located(RIGHT, [], np.zeros((0, 4))))
    metrics = evaluator.summarize()
    assert (metrics["images"], metrics["true_class_error"], metrics["top5_error"]) == (1, 0.0, 1.0)
    assert evaluator.left_out() == ["a"]


def test_ranks_add_up() -> None:
    whole, *parts = (LocalizationEvaluator(["cat"], ["a", "b"], [0, 0], [HAND, HAND]) for _ in range(3))
    for part, image_id, box in zip(parts, "ab", (RIGHT, POOR), strict=True):
        part.add(image_id, Located(box))
        whole.merge(pickle.loads(pickle.dumps(part.state())))
    assert whole.summarize()["true_class_error"] == 0.5


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="an image has no box"):
        LocalizationEvaluator(["cat"], ["a"], [0], [np.zeros((0, 4))])
    with pytest.raises(ValueError, match="2 ids, 1 labels"):
        LocalizationEvaluator(["cat"], ["a", "b"], [0], [HAND, HAND])
    with pytest.raises(ValueError, match="'z' is not in the set"):
        LocalizationEvaluator(["cat"], ["a"], [0], [HAND]).add("z", Located(RIGHT))
