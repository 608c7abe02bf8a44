"""COCO's metrics through both backends and against pycocotools used by hand."""

from __future__ import annotations

import contextlib
import copy
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from detres.errors import DataError
from detres.evaluation.coco_ap import CocoBackend, coco_metrics

KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")


def random_set(seed: int, num_images: int = 12) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Objects at many scales, some crowd, an image without any, classes with gaps in their ids, tied scores."""
    draw = np.random.default_rng(seed)
    categories = [{"id": i, "name": name} for i, name in ((3, "cat"), (7, "dog"), (90, "owl"), (91, "unseen"))]
    images = [{"id": 1000 + 3 * i, "height": 480, "width": 640} for i in range(num_images)]
    annotations, detections = [], []
    for image in images[:-1]:
        for _ in range(draw.integers(1, 8)):
            x, y, w, h = (float(v) for v in np.r_[draw.uniform(0, 400, 2), np.exp(draw.uniform(1.5, 5.5, 2))])
            category = int(draw.choice([3, 7, 90]))
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": [x, y, w, h],
                    "area": w * h * 0.8,
                    "iscrowd": int(draw.random() < 0.15),
                }
            )
            for _ in range(draw.integers(0, 4)):
                noise = draw.normal(0, 0.1, 4) * [w, h, w, h]
                box = [x + noise[0], y + noise[1], w * np.exp(noise[2] / w), h * np.exp(noise[3] / h)]
                detections.append(
                    {
                        "image_id": image["id"],
                        "category_id": category if draw.random() < 0.8 else 7,
                        "bbox": [float(v) for v in box],
                        "score": float(draw.integers(0, 50)) / 50,
                    }
                )
    return {"images": images, "annotations": annotations, "categories": categories}, detections


def by_hand(ground_truth: dict[str, Any], detections: list[dict[str, Any]]) -> list[float | None]:
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(ground_truth)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(detections)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [None if value == -1 else float(value) for value in evaluation.stats[:9]]


@pytest.mark.parametrize("seed", range(6))
def test_both_backends_equal_pycocotools_used_by_hand(seed: int) -> None:
    ground_truth, detections = random_set(seed)
    before = copy.deepcopy((ground_truth, detections))
    faster = coco_metrics(ground_truth, detections)
    plain = coco_metrics(ground_truth, detections, backend="pycocotools")
    assert (ground_truth, detections) == before
    expected = by_hand(ground_truth, detections)
    assert [plain[k] for k in KEYS] == pytest.approx(expected, abs=1e-9)
    assert [faster[k] for k in KEYS] == pytest.approx(expected, abs=1e-9)
    assert list(faster["per_class"]) == ["cat", "dog", "owl", "unseen"]
    for name, row in plain["per_class"].items():
        assert faster["per_class"][name] == pytest.approx(row, abs=1e-9)
    assert faster["per_class"]["unseen"] == {"AP": None, "AP50": None}


@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
def test_perfect_detections_score_one_and_missing_sizes_are_undefined(backend: CocoBackend) -> None:
    ground_truth = {
        "images": [{"id": "a"}],
        "annotations": [{"id": 0, "image_id": "a", "category_id": 0, "bbox": [0, 0, 20, 20]}],
        "categories": [{"id": 0, "name": "x"}],
    }
    detections = [{"image_id": "a", "category_id": 0, "bbox": [0, 0, 20, 20], "score": 0.9}]
    metrics = coco_metrics(ground_truth, detections, backend=backend)
    assert [metrics[k] for k in ("AP", "APs", "AR1")] == pytest.approx([1.0] * 3)
    assert metrics["APm"] is None
    assert metrics["APl"] is None
    assert metrics["per_class"] == {"x": {"AP": pytest.approx(1.0), "AP50": pytest.approx(1.0)}}


@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
def test_no_detections_score_zero(backend: CocoBackend) -> None:
    ground_truth, _ = random_set(0)
    metrics = coco_metrics(ground_truth, [], backend=backend)
    assert [metrics[k] for k in KEYS] == [0.0] * 9


@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
@pytest.mark.parametrize("empty", ["annotations", "images", "categories"])
def test_nothing_to_find_is_undefined(backend: CocoBackend, empty: str) -> None:
    ground_truth, detections = random_set(0)
    ground_truth["annotations"] = []
    ground_truth[empty] = []
    detections = detections if empty == "annotations" else []
    metrics = coco_metrics(ground_truth, detections, backend=backend)
    assert all(metrics[k] is None for k in KEYS)


@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
@pytest.mark.parametrize("mark", ["ignore", "difficult"])
def test_ignored_objects_are_neither_to_be_found_nor_false(backend: CocoBackend, mark: str) -> None:
    ground_truth = {
        "images": [{"id": 1}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50]},
            {"id": 2, "image_id": 1, "category_id": 1, "bbox": [100, 100, 50, 50], mark: 1},
        ],
        "categories": [{"id": 1, "name": "x"}],
    }
    detections = [
        {"image_id": 1, "category_id": 1, "bbox": [100, 100, 50, 50], "score": 0.9},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 50], "score": 0.8},
    ]
    assert coco_metrics(ground_truth, detections, backend=backend)["AP"] == pytest.approx(1.0)


@pytest.mark.parametrize("backend", ["faster", "pycocotools"])
def test_nothing_is_printed(backend: CocoBackend, capfd: pytest.CaptureFixture[str]) -> None:
    coco_metrics(*random_set(1), backend=backend)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("key", "value"), [("image_id", 5), ("category_id", 4)])
def test_detections_of_another_set_are_refused(key: str, value: int) -> None:
    ground_truth, detections = random_set(0)
    detections[3][key] = value
    with pytest.raises(DataError, match=f"1 values of {key} .* not in the ground truth"):
        coco_metrics(ground_truth, detections)


def test_a_score_that_is_no_number_is_refused() -> None:
    ground_truth, detections = random_set(0)
    detections[3]["score"] = float("nan")
    with pytest.raises(DataError, match="not finite"):
        coco_metrics(ground_truth, detections)
