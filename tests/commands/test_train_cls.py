"""Training a classifier as a command, and handing its trunk to a detector."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

import detres
from detres.checkpoints.reading import load_checkpoint

Done = Callable[..., str]

CPU = ("--device", "cpu")


def read_lines(run: Path, kind: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_a_run_folder_holds_what_is_promised(trained_classifier: Path) -> None:
    run = trained_classifier
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last", "best"}
    resolved = yaml.safe_load((run / "config.yaml").read_text())
    assert (resolved["task"], resolved["recipe"]) == ("classification", "tiny_classes")
    assert (run / "log.txt").read_text().startswith("step 10 ")
    assert list((run / "tensorboard").glob("events.out.tfevents.*"))
    assert set(load_file(run / "backbone.safetensors")) == set(load_file(run / "checkpoints/best/model.safetensors"))


def test_metrics_jsonl_has_the_training_error_and_the_figures_of_each_evaluation(trained_classifier: Path) -> None:
    train, evaluations = (read_lines(trained_classifier, kind) for kind in ("train", "eval"))
    assert [line["step"] for line in train] == [line["step"] for line in evaluations] == [10, 20, 30]
    assert all(0 <= line["top1_error"] <= 1 and line["loss"] > 0 for line in train)
    assert train[-1]["loss"] < train[0]["loss"]
    assert evaluations[-1]["top1_error"] == 0, "red and blue are not told apart"
    assert evaluations[-1]["images"] == 6
    assert "per_class" not in evaluations[-1], "a thousand classes would make long lines"


def test_the_weights_file_and_the_trunk_say_what_they_are(trained_classifier: Path) -> None:
    with safe_open(trained_classifier / "checkpoints/last/model.safetensors", framework="pt") as file:
        told = json.loads(file.metadata()["detres"])
    assert told["task"] == "classification"
    assert told["class_names"] == ["blue", "red"]
    with safe_open(trained_classifier / "backbone.safetensors", framework="pt") as file:
        trunk = json.loads(file.metadata()["backbone"])
    assert trunk["architecture"] == "cifar10_resnet20"
    assert trunk["recipe"] == "tiny_classes"
    best = load_checkpoint(trained_classifier / "checkpoints/best").trainer["best"]
    assert trunk["measured"] == {"top1_error": best["value"]}


def test_the_trained_classifier_names_pictures(trained_classifier: Path, tiny_classes: Any) -> None:
    classifier = detres.Classifier.from_checkpoint(trained_classifier, device="cpu")
    pictures = tiny_classes.pictures()
    assert [found.name for found in classifier.predict_many(pictures)] == [path.parent.name for path in pictures]


def test_evaluate_measures_what_the_run_measured(trained_classifier: Path, tmp_path: Path) -> None:
    metrics = detres.evaluate(trained_classifier / "checkpoints" / "last", split="val", out=tmp_path, device="cpu")
    last = read_lines(trained_classifier, "eval")[-1]
    assert (metrics["top1_error"], metrics["images"]) == (last["top1_error"], last["images"])
    assert json.loads((tmp_path / "metrics.json").read_text())["top1_error"] == metrics["top1_error"]


def test_a_run_goes_on_with_its_folder_alone(done: Done, tiny_classes: Any, run_folder: Path) -> None:
    done("train_cls", "--cfg", tiny_classes.cfg, "--out", run_folder, *CPU)
    told = done("train_cls", "--resume", "--out", run_folder, *CPU, "training.steps=5")
    assert "finished 5 steps" in told
    assert [line["step"] for line in read_lines(run_folder, "train")] == [1, 2, 3, 4, 5]


def test_weights_of_other_classes_are_matched_by_name(
    done: Done, trained_classifier: Path, tiny_classes: Any, tmp_path: Path
) -> None:
    for split in ("train", "val"):
        for name, source in (("green", "blue"), ("red", "red")):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for path in (tiny_classes.root / split / source).iterdir():
                (tmp_path / "set" / split / name / path.name).symlink_to(path)
    run = tmp_path / "run"
    start = ("train_cls", "--cfg", tiny_classes.cfg, "--data", tmp_path / "set", "--weights", trained_classifier)
    told = done(*start, "--out", run, *CPU, "optimizer.lr=1e-9", "training.steps=1")
    assert "classes from the file, by name: 1 red" in told
    assert "classes start anew: 1 green" in told
    assert "classes only in the file: 1 blue" in told
    assert f"{tmp_path.name}" in str(run)
    old, new = (load_file(folder / "checkpoints/last/model.safetensors") for folder in (trained_classifier, run))
    with safe_open(run / "backbone.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["detres"])["class_names"] == ["green", "red"]
    best = load_file(trained_classifier / "checkpoints/best/model.safetensors")
    torch.testing.assert_close(new["fc.weight"][1], best["fc.weight"][1])
    torch.testing.assert_close(new["conv1.weight"], best["conv1.weight"])
    assert old.keys() == new.keys()


def test_a_folder_of_class_folders_is_enough(done: Done, tiny_classes: Any, run_folder: Path) -> None:
    start = ("train_cls", "--cfg", tiny_classes.cfg, "--data", tiny_classes.root / "train", "--out", run_folder, *CPU)
    told = done(*start, "training.steps=1")
    assert "train: 9 images of 2 classes" in told
    assert read_lines(run_folder, "eval")[0]["images"] == 1


def test_a_dry_run_says_all_and_leaves_nothing(done: Done, tiny_classes: Any, tmp_path: Path) -> None:
    told = done("train_cls", "--cfg", tiny_classes.cfg, "--out", tmp_path / "run", "--dry-run", *CPU)
    for text in ("task: classification", "10 images of 2 classes: blue, red", "parameters: 269,", "schedule: 3 steps"):
        assert text in told, text
    assert "one step on two embedded images: loss" in told
    assert told.rstrip().endswith("dry run done")
    assert list(tmp_path.iterdir()) == []


def test_averages_of_weights_and_recomputed_statistics_are_what_is_saved_and_handed_on(
    done: Done, tiny_classes: Any, run_folder: Path
) -> None:
    told = done(
        *("train_cls", "--cfg", tiny_classes.cfg, "--out", run_folder, *CPU),
        *("training.ema=0.5", "training.recompute_norms=10", "training.best_metric=top1_error"),
    )
    assert "finished 3 steps" in told
    last = load_checkpoint(run_folder / "checkpoints" / "last")
    assert last.trainer["finished"] == last.trainer["evaluated"] == 3
    raw = last.trainer["raw"]
    assert not torch.equal(raw["conv1.weight"], last.tensors["conv1.weight"])
    assert not torch.equal(raw["bn1.running_mean"], last.tensors["bn1.running_mean"])
    handed = load_file(run_folder / "backbone.safetensors")
    assert torch.equal(handed["bn1.running_mean"], last.tensors["bn1.running_mean"])


@pytest.mark.slow
def test_a_trunk_of_the_embedded_set_begins_a_detector(done: Done, datasets_folder: Path, tmp_path: Path) -> None:
    """shapes to shapes: train_cls's file is model.backbone.weights as it is."""
    trunk = tmp_path / "trunk"
    done(
        *("train_cls", "--cfg", "shapes_cls_r18", "--out", trunk, *CPU),
        *("training.steps=2", "training.batch=4", "training.recompute_norms=0", "data.test=[]", "data.val=[]"),
        *("data.workers=0", "model.drop_path=0.0"),
    )
    run = tmp_path / "detector"
    told = done(
        *("train_det", "--cfg", "shapes_r18", "--out", run, *CPU),
        *(
            f"model.backbone.weights={trunk}/backbone.safetensors",
            "training.steps=1",
            "training.batch=2",
            "data.val=[]",
            "data.test=[]",
        ),
        "data.workers=0",
    )
    assert "backbone.safetensors: resnet18, stride in the 3x3" in told
    assert "missing, from scratch: 0" in told
    assert "left over in the file: 2: fc.weight, fc.bias" in told or "left over in the file: 2: fc.bias" in told
    assert "shapes_cls_r18" in told
    handed, learned = load_file(trunk / "backbone.safetensors"), load_file(run / "checkpoints/last/model.safetensors")
    assert torch.equal(handed["bn1.running_mean"], learned["backbone.bn1.running_mean"]), "norms with statistics freeze"
