"""What a mistake in classification gets: one message, exit status 2, no traceback; a single bad image is left out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

Refused = Callable[..., str]
Done = Callable[..., str]

CPU = ("--device", "cpu")


@pytest.fixture
def classes(tiny_classes: Any, tmp_path: Path) -> Path:
    """A copy of the tiny set, to be broken."""
    shutil.copytree(tiny_classes.root, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def start(tiny_classes: Any, classes: Path, tmp_path: Path) -> tuple[str, ...]:
    """train_cls on the copy."""
    out = str(tmp_path / "run")
    return ("train_cls", "--cfg", str(tiny_classes.cfg), "--out", out, *CPU, f"data.root={classes}", "training.steps=1")


# Commands.


@pytest.mark.parametrize(
    ("command", "cfg", "right"),
    [
        ("train_cls", "shapes_r18", "detres train_det --cfg shapes_r18"),
        ("train_det", "cifar10_resnet20", "detres train_cls --cfg cifar10_resnet20"),
    ],
)
def test_a_config_of_the_other_task_is_told_its_command(refused: Refused, command: str, cfg: str, right: str) -> None:
    for more in ([], ["--dry-run"]):
        message = refused(command, "--cfg", cfg, *more)
        assert right in message
        assert len(message.splitlines()) == 1


@pytest.mark.slow
def test_a_classifier_is_no_detector_and_the_other_way_round(
    refused: Refused, trained: Path, trained_classifier: Path, tiny: Any, tiny_classes: Any
) -> None:
    message = refused("train_det", "--cfg", tiny.cfg, "--weights", trained_classifier, kind="WeightsError")
    assert "a classifier, not a detector" in message
    assert "model.backbone.weights=" in message
    assert "a detector, which eval_det" in refused(
        "train_cls", "--cfg", tiny_classes.cfg, "--weights", trained, kind="WeightsError"
    )


def test_every_unknown_key_is_told_at_once_with_the_nearest(refused: Refused) -> None:
    message = refused("train_cls", "--cfg", "cifar10_resnet20", "data.croping=pad", "loss.mixupp=0.2", "--dry-run")
    assert len(message.splitlines()) == 2
    assert "data.croping is unknown; did you mean data.cropping" in message
    assert "loss.mixupp is unknown; did you mean loss.mixup" in message


# Data.


def test_missing_data_are_told_where_they_were_looked_for_and_how_to_get_them(refused: Refused, tmp_path: Path) -> None:
    for cfg, mend in (("imagenet_r50", "detres prepare imagenet"), ("cifar10_resnet20", "detres prepare cifar10")):
        message = refused(
            "train_cls", "--cfg", cfg, "--out", tmp_path / "run", f"data.root={tmp_path / 'absent'}", kind="DataError"
        )
        assert str(tmp_path / "absent") in message
        assert mend in message


def test_an_empty_class_folder_is_named(refused: Refused, start: tuple[str, ...], classes: Path) -> None:
    for path in (classes / "train" / "red").iterdir():
        path.unlink()
    message = refused(*start, kind="DataError")
    assert "classes have no image there: red" in message


def test_class_folders_that_differ_between_train_and_val_are_named(
    refused: Refused, start: tuple[str, ...], classes: Path
) -> None:
    (classes / "val" / "red").rename(classes / "val" / "rde")
    message = refused(*start, kind="DataError")
    assert "rde" in message
    assert "data.classes" in message


def test_a_half_unpacked_archive_is_told(refused: Refused, start: tuple[str, ...], classes: Path) -> None:
    (classes / "train" / "n01440764.tar").write_bytes(b"")
    message = refused(*start, kind="DataError")
    assert "n01440764.tar" in message
    assert "unpack" in message


def test_data_that_are_no_class_folders_are_told(refused: Refused, tiny_classes: Any, tmp_path: Path) -> None:
    (tmp_path / "flat").mkdir()
    cv2.imwrite(str(tmp_path / "flat" / "1.png"), np.zeros((8, 8, 3), np.uint8))
    message = refused("train_cls", "--cfg", tiny_classes.cfg, "--data", tmp_path / "flat", kind="DataError")
    assert "a set is a folder a class" in message


@pytest.mark.slow
@pytest.mark.parametrize("reading", [(), ("data.in_memory=false",)], ids=["at once", "by workers"])
def test_single_bad_images_are_named_and_the_run_goes_on(
    done: Done, start: tuple[str, ...], classes: Path, reading: tuple[str, ...]
) -> None:
    """One that is no image, one that breaks off; grey, CMYK and 16-bit ones are images like any other."""
    (classes / "train/blue/0.png").write_bytes(b"no image")
    whole = (classes / "train/red/0.png").read_bytes()
    (classes / "train/red/0.png").write_bytes(whole[: len(whole) // 2])
    (classes / "val/red/0.png").write_bytes(b"no image")
    Image.new("L", (16, 16), 90).save(classes / "train/blue/grey.png")
    Image.new("CMYK", (16, 16), (0, 90, 90, 9)).save(classes / "train/red/cmyk.jpg")
    cv2.imwrite(str(classes / "train/red/deep.png"), np.full((16, 16, 3), 40_000, np.uint16))
    told = done(*start, *reading, "training.batch=12", "test.batch=4")
    warnings = [line for line in told.splitlines() if line.startswith("warning:")]
    assert len([line for line in warnings if "train/blue/0.png" in line]) == 1
    assert len([line for line in warnings if "train/red/0.png" in line]) == 1
    assert not any(name in told for name in ("grey.png", "cmyk.jpg", "deep.png"))
    assert "images 5" in told, "the unreadable test image counts"
    assert "warning: 1 images of set/val could not be read and are left out: val/red/0.png" in warnings


def test_strict_data_accept_no_bad_image(refused: Refused, start: tuple[str, ...], classes: Path) -> None:
    (classes / "train/blue/0.png").write_bytes(b"no image")
    message = refused(*start, "data.strict=true", kind="DataError")
    assert "train/blue/0.png" in message


def test_a_plateau_is_not_waited_for_where_nothing_is_evaluated(refused: Refused, start: tuple[str, ...]) -> None:
    message = refused(*start, "data.val=[]", "schedule.name=plateau", "training.eval_every=1")
    assert "schedule.name=plateau waits for evaluations" in message
    assert "data.val" in message


def test_what_cannot_live_on_the_device_is_told(refused: Refused, start: tuple[str, ...], classes: Path) -> None:
    assert "data.cropping=area is made by workers" in refused(*start, "data.in_memory=true", "data.cropping=area")
    shapes = ("train_cls", "--cfg", "shapes_cls_r18", "--dry-run", "data.in_memory=true")
    assert "data.cropping=area is made by workers" in refused(*shapes, "data.cropping=area")
    cv2.imwrite(str(classes / "train/red/wide.png"), np.zeros((16, 20, 3), np.uint8))
    assert "differ in size" in refused(*start, "data.in_memory=true")


# Runs and weights.


def test_weights_of_another_depth_are_told(
    refused: Refused, start: tuple[str, ...], trained_classifier: Path, tiny: Any
) -> None:
    message = refused(
        *start, "--weights", trained_classifier, "model.backbone.name=cifar10_resnet32", kind="WeightsError"
    )
    assert "cifar10_resnet20" in message
    message = refused(
        *("train_det", "--cfg", tiny.cfg, *CPU, "--dry-run"),
        f"model.backbone.weights={trained_classifier / 'backbone.safetensors'}",
        kind="WeightsError",
    )
    assert "weights of cifar10_resnet20, not of resnet18" in message


def test_a_batch_that_cannot_be_shared_or_mixed_is_told(
    refused: Refused, start: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "mix images in pairs" in refused(*start, "training.batch=3", "loss.mixup=0.2")
    monkeypatch.setattr("detres.tasks.runs.sharing.world_size", lambda: 3)
    message = refused(*start)
    assert "training.batch=4" in message
    assert "does not split evenly over 3 ranks" in message


def test_another_config_is_refused_on_resume(refused: Refused, done: Done, start: tuple[str, ...]) -> None:
    done(*start)
    assert "--resume goes on with it" in refused(*start)
    message = refused(*start, "--resume", "loss.mixup=0.2", "training.log_every=7")
    assert "loss.mixup: was 0.0, got 0.2" in message
    assert "training.log_every: was" not in message
