"""Detections of several detectors, from files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from detres.boxes import clip_boxes
from detres.config.detection_schema import Config
from detres.config.loading import Layer
from detres.data.detection.datasets import load_dataset
from detres.data.formats.coco.reading import coco_ground_truth
from detres.detection.testing.fusion import fuse
from detres.errors import ConfigError, DataError
from detres.evaluation.coco_ap import coco_metrics
from detres.evaluation.detection_files import write_detections
from detres.reporter import Reporter
from detres.tables import FUSIONS
from detres.tasks.detection.late_fusion import evaluate_files
from detres.tasks.runs.evaluation_places import Asked

COCO_TEST = {"format": "coco", "test": ["coco/test.json:JPEGImages"]}
VOC_TEST = {"format": "voc", "test": ["test"]}


def layer(tiny: Any, data: dict[str, Any] = COCO_TEST) -> Layer:
    return Layer("mine.yaml", {"data": {"root": str(tiny.root), **data}})


def ground_truth_of(tiny: Any, data: dict[str, Any] = COCO_TEST) -> dict[str, Any]:
    config = Config.model_validate({"data": {"root": str(tiny.root), **data}})
    return coco_ground_truth(load_dataset(config.data, "test"))


def detections_near(ground_truth: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """Three about each object, some of them reaching out of the image, in no order."""
    dice = np.random.default_rng(seed)
    rows = [
        {
            "image_id": thing["image_id"],
            "category_id": thing["category_id"],
            "bbox": [
                thing["bbox"][0] + dice.normal() * 4,
                thing["bbox"][1] - 3,
                25.0,
                thing["bbox"][3] + dice.random(),
            ],
            "score": float(dice.random()),
        }
        for thing in ground_truth["annotations"] * 3
    ]
    return [rows[i] for i in dice.permutation(len(rows))]


def read(folder: Path) -> list[dict[str, Any]]:
    return json.loads((folder / "detections.json").read_text())


@pytest.mark.parametrize("data", [COCO_TEST, VOC_TEST])
def test_one_file_is_evaluated_as_it_is(tiny: Any, tmp_path: Path, data: dict[str, Any]) -> None:
    truth = ground_truth_of(tiny, data)
    rows = detections_near(truth, 0)
    file = write_detections(tmp_path, rows)
    said: list[str] = []
    metrics = evaluate_files(
        [file], Asked(layers=[layer(tiny, data)], out=tmp_path / "out", reporter=Reporter(said.append))
    )
    expected = coco_metrics(truth, rows)
    assert {key: metrics[key] for key in ("AP", "AP50", "AP75", "AR100")} == {
        key: expected[key] for key in ("AP", "AP50", "AP75", "AR100")
    }
    assert (metrics["images"], metrics["split"], metrics["fusion"], len(metrics["detections"])) == (5, "test", None, 1)
    assert any("AP75" in line for line in said)
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["AP"] == metrics["AP"]
    key = str
    assert sorted(read(tmp_path / "out"), key=key) == sorted(rows, key=key)
    left = {path.name for path in (tmp_path / "out").iterdir()} - {"metrics.json", "detections.json"}
    voc = {"ground_truth.json", "comp4_det_test_square.txt", "comp4_det_test_disc.txt"}
    assert left == (voc if data["format"] == "voc" else set())


@pytest.mark.parametrize("method", FUSIONS)
def test_several_files_are_merged_image_by_image(tiny: Any, tmp_path: Path, method: str) -> None:
    truth = ground_truth_of(tiny)
    members = [detections_near(truth, seed) for seed in range(3)]
    for place, rows in enumerate(members):
        (tmp_path / str(place)).mkdir()
        write_detections(tmp_path / str(place), rows)
    done: list[int] = []
    metrics = evaluate_files(
        [tmp_path / str(place) for place in range(3)],
        Asked(
            layers=[layer(tiny)],
            overrides=[f"test.fusion={method}", "test.nms=0.4", "test.max_detections=4"],
            out=tmp_path / "out",
            reporter=Reporter(progress=done.append),
        ),
    )
    assert done == [1, 2, 3, 4, 5]
    assert metrics["fusion"] == method
    expected = []
    for image in truth["images"]:
        views = []
        for rows in members:
            own = [row for row in rows if row["image_id"] == image["id"]]
            xywh = torch.tensor([row["bbox"] for row in own], dtype=torch.float64).reshape(-1, 4)
            boxes = clip_boxes(
                torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], 1), (image["height"], image["width"])
            )
            scores = torch.tensor([row["score"] for row in own], dtype=torch.float64)
            views.append((boxes, scores, torch.tensor([row["category_id"] for row in own], dtype=torch.int64)))
        for box, score, label in zip(*fuse(views, method, nms_iou=0.4, max_detections=4), strict=True):
            x1, y1, x2, y2 = box.tolist()
            expected.append((image["id"], int(label), pytest.approx([x1, y1, x2 - x1, y2 - y1]), float(score)))
    rows = [(row["image_id"], row["category_id"], row["bbox"], row["score"]) for row in read(tmp_path / "out")]
    assert rows == expected
    assert len(rows) >= 4


def test_detectors_of_one_class_each_make_one_of_both(tiny: Any, tmp_path: Path) -> None:
    truth = ground_truth_of(tiny)
    for category in (3, 7):
        things = [thing for thing in truth["annotations"] if thing["category_id"] == category]
        rows = [{key: thing[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9} for thing in things]
        (tmp_path / str(category)).mkdir()
        write_detections(tmp_path / str(category), rows)
    alone = evaluate_files([tmp_path / "3"], Asked(layers=[layer(tiny)], out=tmp_path / "alone"))
    both = evaluate_files([tmp_path / "3", tmp_path / "7"], Asked(layers=[layer(tiny)], out=tmp_path / "both"))
    assert (alone["mAP50"], both["mAP50"], both["AP"]) == (0.5, 1.0, 1.0)
    assert both["fusion"] == "nms"


def test_files_of_nothing_give_nothing(tiny: Any, tmp_path: Path) -> None:
    file = write_detections(tmp_path, [])
    for files in ([file], [file, file]):
        assert evaluate_files(files, Asked(layers=[layer(tiny)], out=tmp_path / "out"))["AP"] == 0.0


def test_files_go_below_runs_by_set_and_fusion(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_detections(tmp_path, [])
    monkeypatch.chdir(tmp_path)
    evaluate_files([file, file], Asked(cfg=str(tiny.cfg), overrides=["test.fusion=wbf"]))
    assert [path.name for path in (tmp_path / "runs" / "late_fusion").iterdir()] == ["set-test-wbf"]


def test_what_makes_no_sense_is_refused(tiny: Any, tmp_path: Path) -> None:
    file = write_detections(tmp_path, [])

    def refused(**given: Any) -> str:
        with pytest.raises(ConfigError) as error:
            evaluate_files([file, file], Asked(**{"layers": [layer(tiny)], "out": tmp_path / "out"} | given))
        return str(error.value)

    assert "name them with --cfg or --data" in refused(layers=[])
    assert "test.fusion=maxout merges features" in refused(overrides=["test.fusion=maxout"])
    assert "test.flip, model.layout: detections from files" in refused(overrides=["test.flip=true", "model.layout=c4"])
    assert "its detections.json is read" in refused(out=tmp_path)
    assert "expected" in refused(overrides=["test.fusion=wfb"])
    with pytest.raises(DataError, match="unknown image id"):
        evaluate_files(
            [write_detections(tmp_path, detections_near(ground_truth_of(tiny), 0))],
            Asked(layers=[layer(tiny, VOC_TEST)]),
        )
