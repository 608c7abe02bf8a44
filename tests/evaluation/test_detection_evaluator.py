"""The evaluator: every image once, the same numbers on any number of ranks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from detres.errors import DataError
from detres.evaluation.coco_ap import coco_metrics
from detres.evaluation.detection_evaluator import DetectionEvaluator
from detres.evaluation.voc_ap import voc_metrics
from detres.structures import Detections

IDS = ["left", "middle", "right"]


def ground_truth() -> dict[str, Any]:
    boxes = [(1, 10, [0, 0, 40, 40]), (1, 30, [50, 50, 30, 30]), (2, 10, [10, 10, 20, 20])]
    return {
        "images": [{"id": i + 1, "file_name": f"images/{name}.jpg"} for i, name in enumerate(IDS)],
        "categories": [{"id": 10, "name": "dog"}, {"id": 30, "name": "cat"}],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for n, (image, category, box) in enumerate(boxes, start=1)
        ],
    }


def found(*rows: tuple[list[float], float, int]) -> Detections:
    boxes, scores, labels = zip(*rows, strict=True) if rows else ([], [], [])
    return Detections(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(scores, dtype=torch.float32),
        torch.tensor(labels, dtype=torch.int64),
        (100, 100),
    )


# Labels of a model that knows the classes in another order than the set: 0 is cat.
NAMES = ("cat", "dog")
LEFT = found(([0, 0, 40, 40], 0.75, 1), ([50, 50, 80, 80], 0.5, 0), ([50, 50, 80, 80], 0.25, 1))
MIDDLE = found(([12, 10, 30, 30], 0.5, 1))


def full(names: tuple[str, ...] = NAMES) -> DetectionEvaluator:
    evaluator = DetectionEvaluator(ground_truth(), names, image_ids=IDS)
    for image_id, detections in zip(IDS, (LEFT, MIDDLE, found()), strict=True):
        evaluator.add(image_id, detections)
    return evaluator


def test_the_summary_holds_both_protocols_by_class_name() -> None:
    evaluator = full()
    metrics, results = evaluator.summarize(), evaluator.results()
    assert results[0] == {"image_id": 1, "category_id": 10, "bbox": [0.0, 0.0, 40.0, 40.0], "score": 0.75}
    assert results[1]["category_id"] == 30
    coco, voc = coco_metrics(ground_truth(), results), voc_metrics(ground_truth(), results)
    assert metrics["AP"] == coco["AP"]
    assert metrics["mAP50"] == voc["mAP50"] == 1.0
    assert metrics["mAP50_07"] == 1.0
    assert metrics["images"] == 3
    assert metrics["per_class"]["dog"] == coco["per_class"]["dog"] | voc["per_class"]["dog"]


def test_two_ranks_with_an_image_in_common_equal_one() -> None:
    first = DetectionEvaluator(ground_truth(), NAMES, image_ids=IDS)
    second = DetectionEvaluator(ground_truth(), NAMES, image_ids=IDS)
    first.add("right", found())
    first.add("left", LEFT)
    second.add("left", LEFT)
    second.add("middle", MIDDLE)
    first.merge(second.state())
    assert len(first) == 3
    assert first.results() == full().results()
    assert first.summarize() == full().summarize()


def test_an_image_added_again_replaces_what_it_had() -> None:
    evaluator = full()
    evaluator.add("middle", found(([0, 0, 5, 5], 0.9, 0)))
    evaluator.add("middle", MIDDLE)
    assert evaluator.results() == full().results()


def test_a_set_without_detections_scores_zero() -> None:
    evaluator = DetectionEvaluator(ground_truth(), NAMES)
    for image_id in (1, 2, 3):
        evaluator.add(image_id, found())
    metrics = evaluator.summarize()
    assert metrics["AP"] == metrics["mAP50"] == metrics["mAP50_07"] == 0.0
    assert evaluator.results() == []


def test_an_image_left_out_is_an_error() -> None:
    evaluator = DetectionEvaluator(ground_truth(), NAMES, image_ids=IDS)
    evaluator.add("left", LEFT)
    with pytest.raises(ValueError, match="2 of 3 images were not added \\('middle', 'right'\\)"):
        evaluator.summarize()


def test_strange_images_and_broken_numbers_are_errors() -> None:
    evaluator = DetectionEvaluator(ground_truth(), NAMES, image_ids=IDS)
    with pytest.raises(ValueError, match="'elsewhere' is not in the ground truth"):
        evaluator.add("elsewhere", LEFT)
    with pytest.raises(ValueError, match="'left' are not finite"):
        evaluator.add("left", found(([0, 0, float("nan"), 1], 0.5, 0)))
    with pytest.raises(ValueError, match="3 images have 2 ids"):
        DetectionEvaluator(ground_truth(), NAMES, image_ids=IDS[:2])


def test_classes_the_set_has_not_are_a_users_mistake() -> None:
    with pytest.raises(DataError, match="owl are not among the set's \\(dog, cat\\)"):
        DetectionEvaluator(ground_truth(), ("cat", "owl"))
