"""report.html of an evaluation of the tiny set."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from detres.config.loading import load_config
from detres.data.detection.datasets import load_dataset
from detres.data.formats.coco.reading import coco_ground_truth
from detres.evaluation.detection_evaluator import as_results, detection_metrics
from detres.evaluation.flat_boxes import flat_detections
from detres.tasks.detection.measuring import Measured
from detres.tasks.detection.reporting import write_report


@pytest.fixture
def written(tiny: Any, write_tiny_set: Callable[..., Any], tmp_path: Path) -> tuple[Any, Measured, Any]:
    """The tiny set's test images, found as they are annotated but for image 10, where nothing was."""
    copy = write_tiny_set(tmp_path / "set", sizes=((640, 960), (96, 64), (80, 80)))
    config = load_config(copy.cfg)
    images = load_dataset(config.data, "test")
    ground_truth = coco_ground_truth(images)
    place = {image["id"]: image["file_name"] for image in ground_truth["images"]}
    results = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 0.9}
        for a in ground_truth["annotations"]
        if "000010" not in place[a["image_id"]]
    ]
    found = flat_detections(ground_truth, results)
    metrics = detection_metrics(ground_truth, found) | {"set": images.name, "split": "test", "weights": ["ab", "cd"]}
    return images, Measured(metrics, as_results(ground_truth, found), ground_truth), config


def parts(page: Path) -> tuple[dict[str, Any], list[np.ndarray]]:
    """What the page's data are, and its pictures."""
    text = page.read_text(encoding="utf-8")
    data, pictures = (
        json.loads(stored) for stored in re.findall(r'<script type="application/json".*?>(.*?)</script>', text)
    )
    decoded = [np.frombuffer(base64.b64decode(picture), np.uint8) for picture in pictures]
    return data, [cv2.imdecode(picture, cv2.IMREAD_COLOR) for picture in decoded]


def test_the_worst_image_comes_first_with_its_picture(written: Any, tmp_path: Path) -> None:
    images, measured, config = written
    page = write_report(tmp_path, measured, images, config, device=torch.device("cpu"))
    assert page == tmp_path / "report.html"
    data, pictures = parts(page)
    assert data["images"][0]["name"].endswith("000010.png")
    assert data["images"][0]["badness"] == 2
    assert len(data["images"]) == len(pictures) == 5
    for image, picture in zip(data["images"], pictures, strict=True):
        assert picture.shape[:2] == (image["height"], image["width"])
        assert max(picture.shape) <= 512, "large ones are made smaller"
    assert data["headline"][0]["value"] == measured.metrics["mAP50"]
    told = dict(data["environment"])
    assert (told["split"], told["digest of the weights"]) == ("test", "ab, cd")
    assert told["torch"] == torch.__version__.split("+")[0]
    assert "threads: " in told["device"]
    assert "backbone:" in data["config"]


def test_an_image_that_cannot_be_read_is_grey(written: Any, tmp_path: Path) -> None:
    images, measured, config = written
    for file in (tmp_path / "set" / "JPEGImages").glob("000010*"):
        file.write_bytes(b"no image")
    data, pictures = parts(write_report(tmp_path, measured, images, config, pictures=1))
    assert len(data["images"]) == 1
    assert (pictures[0] == 128).all()
    assert "device" not in dict(data["environment"]), "nothing says what detected"


def test_what_the_figures_are_without_is_said(written: Any, tmp_path: Path) -> None:
    images, measured, config = written
    data, _ = parts(write_report(tmp_path, measured, images, config, pictures=1))
    assert data["about"].endswith("detections")
    measured.metrics.update(problems={"image missing": 2, "unknown image": 1400}, images_left_out=2)
    data, _ = parts(write_report(tmp_path, measured, images, config, pictures=1))
    assert data["about"].endswith(
        "; 2 images of the set left out; problems of the set: 2 × image missing, 1,400 × unknown image"
    )
