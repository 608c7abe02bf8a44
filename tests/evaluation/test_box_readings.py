"""Boxes that were written in another layout are recognized, and others are not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detres.evaluation.box_readings import other_reading
from detres.evaluation.flat_boxes import FlatDetections, flat_detections

WIDTH, HEIGHT = 640, 480


def scene(seed: int = 0, near: float = 2.0) -> tuple[dict[str, Any], np.ndarray]:
    """Objects of two classes on five images, and boxes (D, 4) x, y, w, h that were found near them."""
    draw = np.random.default_rng(seed)
    boxes = np.stack([draw.uniform(0, 300, 40), draw.uniform(0, 200, 40), *draw.uniform(40, 200, (2, 40))], axis=1)
    truth = {
        "images": [{"id": n, "width": WIDTH, "height": HEIGHT} for n in range(5)],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [
            {"id": n + 1, "image_id": n % 5, "category_id": 1 + n % 2, "bbox": box}
            for n, box in enumerate(boxes.tolist())
        ],
    }
    return truth, boxes + draw.normal(0, near, boxes.shape)


def found(truth: dict[str, Any], boxes: np.ndarray) -> FlatDetections:
    rows = [
        {"image_id": n % 5, "category_id": 1 + n % 2, "bbox": box, "score": 0.9 - n / 1000}
        for n, box in enumerate(boxes.tolist())
    ]
    return flat_detections(truth, rows)


def written(boxes: np.ndarray, layout: str) -> np.ndarray:
    first, sides = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([first, first + sides] if layout == "corners" else [first + sides / 2, sides], axis=1)


@pytest.mark.parametrize(
    ("layout", "shares", "expected"),
    [
        ("corners", False, "look like x1, y1, x2, y2, and"),
        ("centres", False, "look like centre x, centre y, width, height, and"),
        ("corners", True, "look like x1, y1, x2, y2 as shares of the image, and"),
        ("centres", True, "look like centre x, centre y, width, height as shares of the image, and"),
    ],
)
def test_another_layout_is_told_with_what_it_would_hit(layout: str, shares: bool, expected: str) -> None:
    truth, boxes = scene()
    boxes = written(boxes, layout) / ([WIDTH, HEIGHT] * 2 if shares else 1)
    told = other_reading(truth, found(truth, boxes))
    assert told is not None
    assert expected in told
    assert "of the best 40, " in told


@pytest.mark.parametrize("near", [0.0, 2.0, 20.0, 500.0])
def test_boxes_as_they_should_be_are_not_told(near: float) -> None:
    """Whether the detector is good, poor, or finds nothing at all."""
    for seed in range(5):
        truth, boxes = scene(seed, near)
        boxes[:, 2:] = np.maximum(boxes[:, 2:], 1)
        assert other_reading(truth, found(truth, boxes)) is None


def test_a_set_without_objects_or_a_file_without_boxes_says_little() -> None:
    truth, boxes = scene()
    assert other_reading(truth, found(truth, boxes[:0])) is None
    truth["annotations"] = []
    assert other_reading(truth, found(truth, boxes)) is None
    away = boxes + np.array([200, 200, 0, 0])
    told = other_reading(truth, found(truth, np.minimum(written(away, "corners"), [WIDTH, HEIGHT] * 2)))
    assert told is not None
    assert "x1, y1, x2, y2" in told
