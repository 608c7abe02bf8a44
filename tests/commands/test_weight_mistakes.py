"""What a mistake with weights gets: one message that says what, got, where and how to mend it, and exit status 2."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

Refused = Callable[..., str]
SHORT = ("training.steps=2", "data.test=[]", "--device", "cpu")


# Weights.


def test_weights_that_are_not_there_are_told_what_may_stand_for_them(
    refused: Refused, tiny: Any, tmp_path: Path
) -> None:
    for command in (["eval_det"], ["predict", tiny.pictures()[0]], ["visualize"], ["train_det", "--cfg", "shapes_r18"]):
        message = refused(*command, "--weights", tmp_path / "absent", kind="WeightsError")
        assert "a run folder, a checkpoint folder or a file" in message
    assert "no checkpoint here" in refused("eval_det", "--weights", tmp_path, kind="WeightsError")


@pytest.mark.slow
def test_weights_that_are_torn_or_no_weights_are_told(refused: Refused, trained: Path, tmp_path: Path) -> None:
    whole = (trained / "checkpoints" / "last" / "model.safetensors").read_bytes()
    files = {
        "torn.safetensors": whole[: len(whole) // 2],
        "head.safetensors": whole[:5],
        "text.safetensors": b"these are no weights",
        "huge.safetensors": struct.pack("<Q", 2**60) + b"{}",
        "empty.safetensors": b"",
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        message = refused("eval_det", "--weights", tmp_path / name, kind="WeightsError")
        assert f"{name}: cannot be read as safetensors" in message


def test_weights_that_are_no_detector_are_told_how_to_become_one(refused: Refused, tiny: Any, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    for command in (["eval_det"], ["predict", tiny.pictures()[0]], ["train_det", "--cfg", "shapes_r18"]):
        message = refused(*command, "--weights", tmp_path / "x.safetensors", kind="WeightsError")
        assert "no detector of detres's; convert_weights" in message


def test_a_backbones_file_is_told_where_it_belongs(refused: Refused, tmp_path: Path) -> None:
    (tmp_path / "resnet.npz").write_bytes(b"PK")
    save_file({"x": torch.zeros(1)}, tmp_path / "resnet.safetensors")
    for name in ("resnet.npz", "resnet.safetensors"):
        message = refused("eval_det", "--weights", tmp_path / name, kind="WeightsError")
        assert f"model.backbone.weights={tmp_path / name}" in message


def test_a_detector_whose_description_is_damaged_is_told(refused: Refused, tmp_path: Path) -> None:
    for number, text in enumerate(
        ("{", json.dumps({"task": "detection", "schema": 1}), json.dumps([1]), json.dumps("x"))
    ):
        file = tmp_path / f"{number}.safetensors"
        save_file({"x": torch.zeros(1)}, file, {"detres": text})
        assert "the file may be damaged" in refused("eval_det", "--weights", file, kind="WeightsError")
    newer = tmp_path / "newer.safetensors"
    save_file({"x": torch.zeros(1)}, newer, {"detres": json.dumps({"task": "detection", "schema": 99})})
    assert "expected a detection file of schema 1" in refused("eval_det", "--weights", newer, kind="WeightsError")


@pytest.mark.slow
def test_weights_that_do_not_fit_the_model_asked_for_are_told(
    refused: Refused, trained: Path, tiny: Any, tmp_path: Path
) -> None:
    start = ("train_det", "--cfg", tiny.cfg, "--weights", trained, "--out", tmp_path / "run", *SHORT)
    fpn = ("model.layout=fpn", "model.anchors.sizes=null")
    for change in (["model.backbone.name=resnet34"], fpn, ["model.roi.class_agnostic=true"]):
        assert "model.safetensors" in refused(*start, *change, kind="WeightsError")
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.slow
def test_weights_stay_in_the_model_they_were_trained_in(
    refused: Refused, trained: Path, tiny: Any, tmp_path: Path
) -> None:
    contradictions = {
        "model.layout=dc5": "model.layout is c4, and dc5 is asked for",
        "model.backbone.name=resnet34": "model.backbone.name is resnet18, and resnet34 is asked for",
        "model.backbone.shortcut=C": "model.backbone.shortcut is B, and C is asked for",
        "model.backbone.stride_in=1x1": "model.backbone.stride_in is 3x3, and 1x1 is asked for",
        "model.backbone.norm=group": "model.backbone.norm is batch, and group is asked for",
        "model.backbone.norm_eps=0.5": "model.backbone.norm_eps is 1e-05, and 0.5 is asked for",
    }
    for command in (
        ("eval_det", "--weights", trained),
        ("train_det", "--cfg", tiny.cfg, "--weights", trained, "--out", tmp_path / "run", *SHORT),
    ):
        message = refused(*command, *contradictions, "--device", "cpu", kind="WeightsError")
        assert all(told in message for told in contradictions.values())
        assert "shortcut" not in refused(*command, "model.backbone.norm=group", "--device", "cpu", kind="WeightsError")


@pytest.mark.slow
def test_classes_that_the_model_does_not_know_are_told(refused: Refused, trained: Path, tiny: Any) -> None:
    data = tiny.root / "others.yaml"
    message = refused("eval_det", "--weights", trained, "--cfg", "shapes_r18", "--device", "cpu", kind="DataError")
    assert not data.exists()
    assert "classes the model does not know" in message
    assert "the model knows square, disc" in message.replace("disc, square", "square, disc")
    assert "data.classes=" in message


# Conversion.


def test_files_that_do_not_convert_are_told(refused: Refused, tmp_path: Path) -> None:
    start = ("convert_weights", "--from", "torchvision")
    out = tmp_path / "out.safetensors"
    assert "absent.pth" in refused(*start, tmp_path / "absent.pth", out, kind="WeightsError")
    (tmp_path / "text.pth").write_text("no weights")
    assert "text.pth" in refused(*start, tmp_path / "text.pth", out, kind="WeightsError")
    torch.save({"roi_heads.box_predictor.cls_score.bias": torch.zeros(3), "x": torch.zeros(1)}, tmp_path / "other.pth")
    message = refused(*start, tmp_path / "other.pth", out, kind="WeightsError")
    assert "other.pth" in message
    assert "unknown names" in message
    assert "name the output" in refused(*start, tmp_path / "other.pth", tmp_path / "out.pth", kind="WeightsError")
    assert "--classes" in refused(
        *start, tmp_path / "other.pth", out, "--classes", tmp_path / "no", kind="WeightsError"
    )
    assert not out.exists()
