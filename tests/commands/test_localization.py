"""Localization as a user meets it: both stages trained, tested with and without a classifier, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from detres.commands.main import main
from detres.data.formats.shapes import localization as shapes_localized

Done = Callable[..., str]
Refused = Callable[..., str]

CPU = ("--device", "cpu")
SMALL = (
    *("data.workers=0", "data.crop=32", "data.classes=[circle,star]"),
    *("training.batch=4", "training.steps=2", "training.log_every=1", "training.eval_every=null"),
    *("schedule.name=constant", "schedule.warmup_steps=0", "optimizer.lr=0.01"),
    "test.scales=[32,48]",
)
SMALL_RPN = (*SMALL, "data.shortest_side=[32,40]")
SMALL_RCNN = (*SMALL, "model.stage=rcnn", "test.proposals=5")


@dataclass(frozen=True)
class Runs:
    """A few shapes, and runs of both stages and of a classifier on them."""

    data: Path
    rpn: Path
    rcnn: Path
    classifier: Path


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    folder = tmp_path_factory.mktemp("localization")
    made = Runs(folder / "shapes", folder / "rpn", folder / "rcnn", folder / "classifier")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes_localized, "IMAGES_PER_CLASS", {"train": 3, "val": 2, "test": 2})
        patch.setattr(shapes_localized, "SHORTER_SIDE", 48)
        data = f"data.root={made.data}"
        train = ("train_det", "--cfg", "shapes_loc_r18", *CPU, data)
        assert main([*train, *SMALL_RPN, "--out", str(made.rpn)]) == 0
        rcnn = (*SMALL_RCNN, f"data.proposals={made.rpn}", "training.steps=1")
        assert main([*train, *rcnn, "--out", str(made.rcnn)]) == 0
        net = (
            "model.backbone={name: cifar10_resnet20, zero_init_last: false}",
            "data.format=folder",
            "data.test=[test]",
        )
        options = ("data.workers=0", "data.classes=[circle,star]", "training.steps=1", "training.batch=4")
        shown = ("data.cropping=area", "data.crop=32", "test.scales=[32]")
        classifier = ("train_cls", "--cfg", "shapes_cls_r18", *CPU, data, *net, *options, *shown)
        assert main([*classifier, "--out", str(made.classifier)]) == 0
    yield made
    shutil.rmtree(folder, ignore_errors=True)


def test_a_run_folder_holds_losses_and_errors_by_name(runs: Runs) -> None:
    lines = [json.loads(line) for line in (runs.rpn / "metrics.jsonl").read_text().splitlines()]
    first, last = lines[0], lines[-1]
    assert {"loss", "loss_rpn_objectness", "loss_rpn_box"} <= set(first)
    assert (last["kind"], last["step"], last["images"]) == ("eval", 2, 4)
    assert 0.0 <= last["true_class_error"] <= 1.0
    lines = [json.loads(line) for line in (runs.rcnn / "metrics.jsonl").read_text().splitlines()]
    assert {"loss_roi_class", "loss_roi_box"} <= set(lines[0])


def test_the_rcnn_learns_from_proposals_that_are_kept_beside_the_rpn(runs: Runs) -> None:
    (kept,) = (runs.rpn / "proposals").glob("shapes_localized-train-*.safetensors")
    found = load_file(kept)
    counts = found["offsets"].diff()
    assert (len(counts), int(counts.min()) >= 1, int(counts.max()) <= 5) == (6, True, True)
    assert len(found["boxes"]) == int(found["offsets"][-1])


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["rpn", "rcnn"])
def test_eval_det_prints_the_error_on_the_true_class_and_top_5(runs: Runs, stage: str, done: Done) -> None:
    run = getattr(runs, stage)
    told = done("eval_det", "--weights", run, *CPU, f"test.classifier={runs.classifier}")
    assert "localization error on the true class" in told
    assert "localization error, top-5" in told
    (file,) = (run / "eval").rglob("metrics.json")
    metrics = json.loads(file.read_text())
    assert metrics["top5_error"] >= metrics["class_top5_error"] == 0.0  # two classes, both among the five
    assert metrics["top5_error"] == metrics["true_class_error"], "with both classes guessed, the true one's box decides"
    assert set(metrics["per_class"]) == {"circle", "star"}
    assert metrics["classifier"]["top5_error"] == 0.0


def test_one_crop_is_another_test_and_there_is_no_top_5_without_a_classifier(runs: Runs, done: Done) -> None:
    out = runs.rpn / "eval" / "crop"
    told = done(
        "eval_det", "--weights", runs.rpn, "--out", out, "--split", "val", *CPU, "test.crops=1", "test.scales=[40]"
    )
    assert "the centre crop at shorter sides [40]" in told
    assert "top-5" not in told
    shutil.rmtree(out)


@pytest.mark.slow
def test_a_run_that_was_cut_goes_on_bit_for_bit(runs: Runs, tmp_path: Path, done: Done) -> None:
    options = ("--cfg", "shapes_loc_r18", *CPU, "--out", tmp_path / "run", f"data.root={runs.data}", *SMALL_RPN)
    done("train_det", *options, "training.steps=1")
    done("train_det", *options, "--resume")
    whole, cut = (load_file(run / "checkpoints/last/model.safetensors") for run in (runs.rpn, tmp_path / "run"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    shutil.rmtree(tmp_path / "run")


@pytest.mark.slow
def test_a_dry_run_of_the_papers_config_needs_neither_data_nor_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, done: Done
) -> None:
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path))
    for stage in ("imagenet_loc_r101", "imagenet_loc_rcnn_r101"):
        small = ("model.backbone={name: resnet18, stride_in: null, weights: null}", "data.crop=32")
        sides = ("data.shortest_side=[32,40]",) if stage == "imagenet_loc_r101" else ()  # A proposal is warped.
        told = done("train_det", "--cfg", stage, "--dry-run", *CPU, *small, *sides)
        assert "data: not here" in told
        assert "dry run done" in told


def test_check_data_counts_boxes_and_images_without_any(
    runs: Runs, done: Done, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ("check_data", "--cfg", "shapes_loc_r18", f"data.root={runs.data}", "data.classes=[circle]")
    told = done(*check)
    assert "train: shapes_localized/train, 3 images with 3 boxes of their own class" in told
    assert "0 images without a box, which are left out" in told
    assert main([*map(str, check), "data.val=[absent]"]) == 2
    told = capsys.readouterr().out
    assert "val: cannot be used: " in told
    assert "train: shapes_localized/train, 3 images" in told
    assert "of a localization set" in refused(*check, "--fix", runs.data / "fixed")
    assert "a localization config" in refused("visualize", "--cfg", "shapes_loc_r18")


@pytest.mark.slow
def test_mistakes_are_told(runs: Runs, tmp_path: Path, refused: Refused) -> None:
    data = f"data.root={runs.data}"
    begin = ("train_det", "--cfg", "shapes_loc_r18", *CPU, "--out", tmp_path / "run", data)
    train, rcnn = (*begin, *SMALL_RPN), (*begin, *SMALL_RCNN, "training.steps=1")
    assert "data.proposals=RUN" in refused(*rcnn)
    told = refused(*rcnn, f"data.proposals={runs.rcnn}", kind="WeightsError")
    assert "proposals come from an rpn" in told
    told = refused(*rcnn, f"data.proposals={runs.rpn}", "data.classes=[star,circle]", kind="WeightsError")
    assert "the classes of both stages must be the same" in told
    told = refused(*train, "model.backbone.name=cifar10_resnet20")
    assert "a localizer's trunk is one of resnet18" in told
    assert "data.root=" in refused("train_det", "--cfg", "shapes_loc_r18", "--data", runs.data)
    assert "`detres train_det --cfg shapes_loc_r18`" in refused("train_cls", "--cfg", "shapes_loc_r18")


@pytest.mark.slow
def test_mistakes_in_a_test_are_told(runs: Runs, tmp_path: Path, trained_classifier: Path, refused: Refused) -> None:
    test = ("eval_det", "--weights", runs.rpn, *CPU, "--out", tmp_path / "out")
    told = refused(*test, f"test.classifier={trained_classifier}", kind="WeightsError")
    assert "a classifier of 2 classes" in told
    assert "it lacks circle, star" in told
    told = refused(*test, f"test.classifier={runs.rpn}", kind="WeightsError")
    assert "a localizer, which eval_det takes, and train_det with a localizer's --cfg, and here a classifier" in told
    told = refused(*test, "data.classes=[circle,ring]", kind="WeightsError")
    assert "a localizer of 2 classes" in told
    assert "crops=1 takes one scale" in refused(*test, "test.crops=1")
    for key in ("data.flip=0.1", "model.anchors.ratios=[1.0]", "training.steps=5"):
        assert f"{key.partition('=')[0]} changes nothing here" in refused(*test, key)
    assert "--report shows the errors of detections" in refused(*test, "--report")
    assert "tested one at a time" in refused(*test, "--weights", runs.rcnn)
    assert "a detection config" in refused(*test, "--cfg", "coco_r50_fpn")
    shutil.rmtree(runs.data / "Annotations")
    assert "so the set has no boxes" in refused(*test, kind="DataError")


def test_weights_keep_their_trunk_and_leave_the_lessons_to_the_config(
    runs: Runs, tmp_path: Path, done: Done, refused: Refused
) -> None:
    cfg = tmp_path / "mine.yaml"
    cfg.write_text(
        "task: localization\nmodel:\n  backbone: {name: resnet50, frozen_stages: 1}\n"
        "  rpn: {channels: 8, positive_iou: 0.6}\n"
        f"data: {{format: shapes, root: {runs.data}, train: [train], val: [val], test: [test]}}\n"
        "training: {batch: 4, steps: 1}\n"
    )
    start = ("train_det", "--cfg", cfg, "--weights", runs.rpn, *CPU, *SMALL_RPN, "--dry-run")
    told = done(*start)
    file = runs.rpn / "checkpoints" / "best" / "model.safetensors"
    assert f"model.backbone.name: resnet18 ({file}) instead of resnet50 ({cfg})" in told
    assert f"model.rpn.channels: 256 ({file}) instead of 8 ({cfg})" in told
    assert "frozen_stages: 1" in told
    assert "positive_iou: 0.6" in told
    message = refused(*start, "model.backbone.stride_in=1x1", kind="WeightsError")
    assert "its model.backbone.stride_in is 3x3, and 1x1 is asked for" in message
