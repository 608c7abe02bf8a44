"""What is drawn is what the evaluation found, in pixels of the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from detres.config.detection_schema import DataConfig
from detres.data.detection.datasets import load_dataset
from detres.data.formats.coco.reading import coco_ground_truth
from detres.tasks.detection.logged_pictures import LoggedPictures
from detres.tasks.detection.measuring import Measured


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was drawn, instead of drawing it."""
    told = []

    def draw(rgb: Any, target: Any, found: Any, class_names: Any) -> Any:
        told.append((rgb, target, found, class_names))
        return rgb

    monkeypatch.setattr("detres.report.drawing.draw_comparison", draw)
    return told


def test_the_first_images_are_drawn_with_what_was_found_on_them(tiny: Any, drawn: list[Any]) -> None:
    data = DataConfig(format="coco", root=str(tiny.root), test=["coco/test.json:JPEGImages"])
    images = load_dataset(data, "test")
    truth = coco_ground_truth(images)
    last = truth["categories"][1]["id"]
    entries = [
        {"image_id": images.image_id(2), "category_id": last, "bbox": [1.0, 2.0, 10.0, 20.0], "score": 0.25},
        {"image_id": images.image_id(2), "category_id": last, "bbox": [3.0, 4.0, 5.0, 6.0], "score": 0.75},
        {"image_id": images.image_id(4), "category_id": last, "bbox": [0.0, 0.0, 5.0, 6.0], "score": 0.5},
    ]
    pictures = LoggedPictures(2)
    pictures.remember("test", images, Measured({}, entries, truth, undecodable=(0,)))
    assert [name for name, _ in pictures()] == ["test/1", "test/2"]
    (_, _, empty, _), (rgb, target, found, names) = drawn
    assert empty.boxes.shape == (0, 4)
    assert np.array_equal(rgb, images.pixels(2))
    assert found.boxes.tolist() == [[3.0, 4.0, 8.0, 10.0], [1.0, 2.0, 11.0, 22.0]]
    assert (found.scores.tolist(), found.labels.tolist()) == ([0.75, 0.25], [1, 1])
    assert found.image_size == rgb.shape[:2] == images.size(2)
    assert torch.equal(target.boxes, images.target(2).boxes)
    assert names == images.class_names


def test_none_are_kept_where_none_are_asked_for(tiny: Any, drawn: list[Any]) -> None:
    data = DataConfig(format="coco", root=str(tiny.root), test=["coco/test.json:JPEGImages"])
    images = load_dataset(data, "test")
    pictures = LoggedPictures(0)
    pictures.remember("test", images, Measured({}, [{"image_id": images.image_id(0)}], coco_ground_truth(images)))
    assert list(pictures()) == drawn == []
