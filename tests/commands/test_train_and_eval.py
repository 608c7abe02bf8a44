"""Training and evaluating as commands: every file that is promised is there and says what it should."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from safetensors import safe_open
from safetensors.torch import load_file

from detres.checkpoints.reading import load_checkpoint
from detres.commands.main import main

Done = Callable[..., str]

LOSSES = ("loss_rpn_objectness", "loss_rpn_box", "loss_roi_class", "loss_roi_box")
COCO_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def pycocotools_ap(folder: Path, ground_truth: Path) -> dict[str, float]:
    """AP, AP50 and AR100 as pycocotools computes them from the files alone."""
    truth = COCO(str(ground_truth))
    evaluation = COCOeval(truth, truth.loadRes(str(folder / "detections.json")), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return {"AP": evaluation.stats[0], "AP50": evaluation.stats[1], "AR100": evaluation.stats[8]}


# Training.


@pytest.mark.slow
def test_a_run_folder_holds_what_is_promised(trained: Path) -> None:
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {"last", "best"}
    for checkpoint in (trained / "checkpoints").iterdir():
        assert {path.name for path in checkpoint.iterdir()} == {"model.safetensors", "trainer.pt"}
    resolved = yaml.safe_load((trained / "config.yaml").read_text())
    assert resolved["recipe"] == "tiny"
    assert resolved["training"]["steps"] == 50
    assert resolved["model"]["rpn"]["nms"] == 0.7, "the defaults are there, too"
    assert (trained / "log.txt").read_text().startswith("step 10 ")
    assert list((trained / "tensorboard").glob("events.out.tfevents.*"))


@pytest.mark.slow
def test_metrics_jsonl_names_every_loss_and_the_evaluation(trained: Path) -> None:
    lines = read_lines(trained / "metrics.jsonl")
    train = [line for line in lines if line["kind"] == "train"]
    assert [line["step"] for line in train] == [10, 20, 30, 40, 50]
    for line in train:
        assert line["loss"] == pytest.approx(sum(line[name] for name in LOSSES), rel=1e-6)
        assert line["lr"] > 0
    assert train[-1]["loss"] < train[0]["loss"]
    (evaluation,) = [line for line in lines if line["kind"] == "eval"]
    assert evaluation["step"] == 50
    assert evaluation["mAP50"] > 0.2, "the tiny detector has not learned"


@pytest.mark.slow
def test_a_weights_file_describes_its_model_and_what_feeds_it(trained: Path) -> None:
    with safe_open(trained / "checkpoints" / "last" / "model.safetensors", framework="pt") as file:
        told = json.loads(file.metadata()["detres"])
        assert file.metadata()["step"] == "50"
    assert told["schema"] == 1
    assert told["task"] == "detection"
    assert told["class_names"] == ["disc", "square"]
    assert told["recipe"] == "tiny"
    assert told["backbone"]["stride_in"] == "3x3"
    assert told["backbone"]["pixel_stats"]["order"] == "rgb"
    assert told["preprocessing"] == {"shortest_side": [64], "longest_side": 96, "rounding": "floor", "exif": True}
    assert told["test"]["score"] == 0.05


@pytest.mark.slow
def test_ctrl_c_and_sigterm_end_with_130_and_a_checkpoint_that_goes_on(
    tiny: Any, run_folder: Path, run_python: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    root = str(Path(__file__).parents[2])
    start = [sys.executable, "-m", "detres", "train_det", "--device", "cpu", "--out", str(run_folder)]
    first = [*start, "--cfg", str(tiny.cfg), "training.steps=10000"]
    reached = 0
    # What goes on needs no more than the folder.
    for command, number in ((first, signal.SIGINT), ([*start, "--resume"], signal.SIGTERM)):
        process = subprocess.Popen(
            command,
            cwd=root,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for_a_step(process, run_folder, reached + 2)
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
        assert process.returncode == 130, told
        step = load_checkpoint(run_folder / "checkpoints" / "last").trainer["step"]
        assert step > reached
        assert f"interrupted by {number.name} after step {step}" in told
        assert "--resume goes on" in told
        assert "Traceback" not in told
        reached = step
    steps = [line["step"] for line in read_lines(run_folder / "metrics.jsonl") if line["kind"] == "train"]
    assert steps == list(range(1, reached + 1))


def wait_for_a_step(process: subprocess.Popen[str], run: Path, step: int) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            raise AssertionError(process.communicate()[1])
        lines = (run / "metrics.jsonl").read_text().splitlines() if (run / "metrics.jsonl").is_file() else []
        if any(f'"step": {step}' in line for line in lines):
            return
        time.sleep(0.1)
    raise AssertionError("no step was reached")


@pytest.mark.slow
def test_best_last_and_every_kth_checkpoint_are_kept(done: Done, tiny: Any, run_folder: Path) -> None:
    told = done(
        *("train_det", "--cfg", tiny.cfg, "--out", run_folder, "--device", "cpu", "training.steps=4"),
        *("training.keep_every=2", "training.eval_every=2"),
    )
    names = {path.name for path in (run_folder / "checkpoints").iterdir()}
    assert names - {"best"} == {"last", "step_00000002", "step_00000004"}
    assert "step 4 lr 0.0200 loss" in told
    again = done("train_det", "--out", run_folder, "--resume", "--device", "cpu")
    assert "finished 4 steps" in again
    told = done("train_det", "--out", run_folder, "--resume", "--weights", run_folder, "--device", "cpu")
    assert f"goes on from {run_folder / 'checkpoints' / 'last'}; --weights counts for nothing" in told
    assert "--weights" not in again


@pytest.mark.slow
def test_another_batch_scales_rate_and_steps_and_says_so(done: Done, tiny: Any) -> None:
    told = done("train_det", "--cfg", tiny.cfg, "training.batch=1", "--dry-run")
    assert "scaled to training.batch=1: optimizer.lr" in told
    assert "learning rate 0.01 at 0" in told
    kept = done("train_det", "--cfg", tiny.cfg, "training.batch=1", "optimizer.lr=0.5", "--dry-run")
    assert "optimizer.lr" not in [line.split(":")[1].strip()[:12] for line in kept.splitlines() if "scaled" in line]
    assert "learning rate 0.5 at 0" in kept


# Evaluation.


@pytest.fixture(scope="module")
def evaluated(trained: Path, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folders of an evaluation as VOC and one as COCO, with many detections."""
    folders = {}
    for data in ("voc", "coco"):
        folders[data] = tmp_path_factory.mktemp(data)
        command = ["eval_det", "--weights", trained, "--data", getattr(tiny, data), "--out", folders[data]]
        assert main([str(part) for part in [*command, "--device", "cpu", "test.score=0.01"]]) == 0
    return folders


@pytest.mark.slow
@pytest.mark.parametrize("data", ["voc", "coco"])
def test_metrics_json_has_every_promised_key(evaluated: dict[str, Path], data: str) -> None:
    metrics = json.loads((evaluated[data] / "metrics.json").read_text())
    for name in (*COCO_METRICS, "mAP50", "mAP50_07"):
        assert metrics[name] is None or 0 <= metrics[name] <= 1, name
    assert metrics["APl"] is None, "nothing is large here: what is undefined is null"
    assert metrics["mAP50"] > 0.2
    assert metrics["images"] == 5
    assert metrics["split"] == "test"
    assert metrics["set"]
    assert metrics["schema_version"] == 1
    assert len(metrics["weights"]) == 16
    assert metrics["annotations"]
    assert set(metrics["per_class"]) == {"square", "disc"}
    mean = np.mean([row["AP"] for row in metrics["per_class"].values()])
    assert metrics["AP"] == pytest.approx(mean, abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("data", ["voc", "coco"])
def test_pycocotools_reads_the_files_as_they_are_and_agrees(
    evaluated: dict[str, Path], tiny: Any, data: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = evaluated[data]
    if data == "coco":
        assert not (folder / "ground_truth.json").exists(), "a COCO set has its own"
    truth = tiny.root / "coco" / "test.json" if data == "coco" else folder / "ground_truth.json"
    metrics = json.loads((folder / "metrics.json").read_text())
    for name, value in pycocotools_ap(folder, truth).items():
        assert metrics[name] == pytest.approx(value, abs=1e-9), name
    detections = json.loads((folder / "detections.json").read_text())
    assert len(detections) > 10
    assert {tuple(sorted(detection)) for detection in detections} == {("bbox", "category_id", "image_id", "score")}
    if data == "coco":
        assert {detection["category_id"] for detection in detections} <= {3, 7}


@pytest.mark.slow
def test_the_same_images_as_voc_and_as_coco_measure_the_same(evaluated: dict[str, Path]) -> None:
    """A difficult object and a crowd are both neither hit nor miss in VOC's measure."""
    one, other = (json.loads((evaluated[data] / "metrics.json").read_text()) for data in ("voc", "coco"))
    assert one["mAP50"] == pytest.approx(other["mAP50"], abs=1e-9)
    assert one["weights"] == other["weights"]
    assert one["annotations"] != other["annotations"]


@pytest.mark.slow
def test_comp4_files_hold_every_detection_from_pixel_one(evaluated: dict[str, Path]) -> None:
    folder = evaluated["voc"]
    truth = json.loads((folder / "ground_truth.json").read_text())
    stems = {image["id"]: Path(image["file_name"]).stem for image in truth["images"]}
    names = {category["id"]: category["name"] for category in truth["categories"]}
    expected: dict[str, list[str]] = {"square": [], "disc": []}
    for detection in json.loads((folder / "detections.json").read_text()):
        x, y, width, height = detection["bbox"]
        row = f"{x + 1:.3f} {y + 1:.3f} {x + width:.3f} {y + height:.3f}"
        expected[names[detection["category_id"]]].append(
            f"{stems[detection['image_id']]} {detection['score']:.8f} {row}"
        )
    for name, rows in expected.items():
        lines = (folder / f"comp4_det_test_{name}.txt").read_text().splitlines()
        assert sorted(lines) == sorted(rows)
        assert all(min(map(float, line.split()[2:4])) >= 1 for line in lines)
    assert not list(evaluated["coco"].glob("comp4*"))


@pytest.mark.slow
def test_an_evaluation_says_which_checkpoint_and_where_its_files_are(done: Done, trained: Path) -> None:
    told = done("eval_det", "--weights", trained, "--device", "cpu")
    weights, images, first, *_ = told.splitlines()
    assert weights == f"{trained}/checkpoints/best/model.safetensors: tiny"
    assert images == "set-test: 5 images, in float32"
    assert first.startswith("mAP@0.5")
    folder = trained / "eval" / "set-test-best"
    assert f"written to {folder}" in told
    assert json.loads((folder / "metrics.json").read_text())["split"] == "test"
    last = done("eval_det", "--weights", trained / "checkpoints" / "last", "--device", "cpu", "--split", "train")
    assert "checkpoints/last/model.safetensors" in last
    assert (trained / "eval" / "set-train-last" / "detections.json").is_file()


@pytest.mark.slow
def test_a_relative_path_within_the_run_finds_its_data(
    done: Done, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(trained / "checkpoints" / "last")
    assert f"written to {trained}/eval/set-test-last" in done("eval_det", "--weights", "model.safetensors")


@pytest.mark.slow
def test_numbers_on_the_screen_are_per_cent_of_those_in_the_file(done: Done, trained: Path, tmp_path: Path) -> None:
    told = done("eval_det", "--weights", trained, "--out", tmp_path, "--device", "cpu")
    shown = float(told.partition("mAP@0.5 ")[2].split()[0])
    assert math.isclose(shown, 100 * json.loads((tmp_path / "metrics.json").read_text())["mAP50"], abs_tol=0.005)


@pytest.mark.slow
def test_weights_decide_what_the_model_is_and_the_config_how_it_learns(
    done: Done, trained: Path, tiny: Any, tmp_path: Path
) -> None:
    cfg, run = tmp_path / "mine.yaml", tmp_path / "run"
    text = tiny.cfg.read_text().replace("layout: c4", "layout: dc5").replace("post_nms_train: 20", "post_nms_train: 10")
    cfg.write_text(text.replace("{name: resnet18}", "{name: resnet18, frozen_stages: 2}"))
    told = done("train_det", "--cfg", cfg, "--weights", trained, "--out", run, "training.steps=1", "--device", "cpu")
    file = trained / "checkpoints" / "best" / "model.safetensors"
    assert [line for line in told.splitlines() if "instead of" in line] == [
        f"model.layout: c4 ({file}) instead of dc5 ({cfg})"
    ]
    before, after = load_file(file), load_file(run / "checkpoints" / "last" / "model.safetensors")
    changed = {name for name in before if name in after and not torch.equal(before[name], after[name])}
    assert not any(name.startswith(("backbone.conv1", "backbone.bn1", "backbone.layer1")) for name in changed)
    assert any(name.startswith("backbone.layer2") for name in changed)
    kept = yaml.safe_load((run / "config.yaml").read_text())["model"]
    assert (kept["layout"], kept["rpn"]["post_nms_train"], kept["backbone"]["frozen_stages"]) == ("c4", 10, 2)
    shutil.rmtree(run)
