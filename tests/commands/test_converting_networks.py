"""Classifiers of others become files that every command takes, or are refused by name before anything is written."""

from __future__ import annotations

import argparse
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models import get_model

from detres import Classifier
from detres.backbones.building import build_backbone
from detres.classification.classifier import build_classifier

Done = Callable[..., str]
Refused = Callable[..., str]
CONVERT = ("convert_weights", "--from", "torchvision", "--architecture")


def port_of(model: torch.nn.Module) -> dict[str, Tensor]:
    """Under the names of a well-known port for CIFAR-10."""
    return {f"module.{name.replace('fc.', 'linear.')}": tensor for name, tensor in model.state_dict().items()}


@pytest.fixture
def port(tmp_path: Path) -> tuple[Path, torch.nn.Module]:
    """A checkpoint of two classes, and the net it is of, which pads both sides."""
    torch.manual_seed(3)
    model = build_classifier("cifar10_resnet20", num_classes=2, shortcut_padding="both").eval()
    torch.save({"state_dict": port_of(model), "best_prec1": 91.7}, tmp_path / "resnet20-12fca82f.th")
    return tmp_path / "resnet20-12fca82f.th", model


@pytest.mark.slow
def test_a_foreign_classifier_is_converted_and_evaluated(
    done: Done, refused: Refused, port: tuple[Path, torch.nn.Module], tiny_classes: Any, tmp_path: Path
) -> None:
    (file, model), out, names = port, tmp_path / "out.safetensors", tmp_path / "names.txt"
    names.write_text("red\nblue\n")
    said = refused("eval_cls", "--weights", file, "--data", tiny_classes.root, kind="WeightsError")
    assert f"convert_weights --from torchvision --architecture NAME {file} resnet20-12fca82f.safetensors" in said
    assert "header" not in said

    start = (*CONVERT, "cifar10_resnet20", file, out, "--classes", names)
    told = done(*start, "--shortcut-padding", "both")
    assert "taken off its names: module." in told
    assert "its linear. is fc." in told
    assert "assumed: rgb pixels" in told
    classifier = Classifier.from_checkpoint(out, device="cpu")
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(classifier.model.logits(images), model.logits(images), rtol=1e-4, atol=1e-5)
    evaluate = ("eval_cls", "--weights", out, "--data", tiny_classes.root, "--out", tmp_path / "e", "--device", "cpu")
    assert "top-1 error" in done(*evaluate, "model.pixel_mean=[125,123,114]")
    assert "allow_mismatch" in refused(*evaluate, "model.backbone.shortcut_padding=end", kind="WeightsError")

    again = refused(
        "convert_weights", "--from", "torchvision", out, tmp_path / "again.safetensors", kind="WeightsError"
    )
    assert "already a file of detres's" in again
    assert "shortcuts padded on both sides" in told

    assert "its shortcuts have no weights: their zeros are where --shortcut-padding says" in done(*start)
    assert "top-1 error" in done(*evaluate, "model.backbone.shortcut_padding=both")
    assert build_backbone("cifar10_resnet20", weights=out).load_report.missing == ()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_class_names_may_come_through_a_pipe(
    run_python: Callable, port: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    """It can be read once."""
    pipe, out = tmp_path / "names", tmp_path / "out.safetensors"
    os.mkfifo(pipe)
    threading.Thread(target=pipe.write_text, args=("red\nblue\n",), daemon=True).start()
    ended = run_python("-m", "detres", *CONVERT, "cifar10_resnet20", port[0], out, "--classes", pipe, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert Classifier.from_checkpoint(out, device="cpu").class_names == ("red", "blue")


@pytest.mark.slow
def test_what_does_not_fit_is_refused_before_it_is_written(
    refused: Refused, port: tuple[Path, torch.nn.Module], tmp_path: Path
) -> None:
    out, file = tmp_path / "out.safetensors", port[0]
    meant = refused(*CONVERT, "resnet20", file, out, kind="WeightsError")
    assert "did you mean cifar10_resnet20?" in meant
    said = refused(*CONVERT, "resnet18", file, out, kind="WeightsError")
    assert "no weights of resnet18" in said
    assert "they look like cifar10_resnet20's: --architecture cifar10_resnet20" in said
    torch.save({"model": get_model("resnet34", weights=None).state_dict()}, file)
    assert "--architecture resnet34" in refused(*CONVERT, "resnet18", file, out, kind="WeightsError")
    untold = refused("convert_weights", "--from", "torchvision", file, out, kind="WeightsError")
    assert f"convert_weights --from torchvision --architecture resnet34 {file}" in untold
    assert "--classes: 2 class names for weights with 1000 classes" in refused(
        *CONVERT, "resnet34", file, out, "--classes", _names(tmp_path), kind="WeightsError"
    )
    assert "shortcuts without weights" in refused(
        *CONVERT, "resnet34", file, out, "--shortcut-padding", "both", kind="WeightsError"
    )
    assert "imp:code" in refused(*CONVERT, "imp:code", file, out, kind="WeightsError")
    assert not out.exists()


def _names(folder: Path) -> Path:
    (folder / "names.txt").write_text("a\nb\n")
    return folder / "names.txt"


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".pth.tar", ".bin", ".ckpt", ".pt"])
def test_checkpoints_of_trainings_are_read_whatever_they_are_called(done: Done, tmp_path: Path, ending: str) -> None:
    state = get_model("resnet18", weights=None, num_classes=3).state_dict()
    content = {"model": state, "optimizer": {}, "args": argparse.Namespace(lr=0.1), "epoch": 3}
    file, out = tmp_path / f"checkpoint{ending}", tmp_path / "out.safetensors"
    torch.save(content, file)
    told = done(*CONVERT, "resnet18", file, out)
    assert "left unread, beside the weights: argparse.Namespace" in told
    assert "class names: numbered (--classes names them)" in told
    assert Classifier.from_checkpoint(out, device="cpu").class_names == ("class 0", "class 1", "class 2")
    torch.save({"state_dict": {f"backbone.{n}": t for n, t in state.items() if not n.startswith("fc.")}}, file)
    assert "taken off its names: backbone." in done(*CONVERT, "resnet18", file, out)
    assert build_backbone("resnet18", weights=out).load_report.missing == ()


@pytest.mark.slow
def test_stages_that_are_missing_as_a_whole_are_told(done: Done, tmp_path: Path) -> None:
    state = get_model("resnet18", weights=None).state_dict()
    file, out = tmp_path / "half.pth", tmp_path / "out.safetensors"
    torch.save({n: t for n, t in state.items() if not n.startswith(("layer3", "layer4", "fc"))}, file)
    assert "missing, as a whole: c4 (from layer3.0.conv1.weight), c5 (from layer4.0." in done(
        *CONVERT, "resnet18", file, out
    )
    torch.save({n: t for n, t in state.items() if not n.startswith("fc")}, file)
    assert "missing, as a whole" not in done(*CONVERT, "resnet18", file, out)


@pytest.mark.slow
def test_timms_weights_are_checked_against_their_model(done: Done, refused: Refused, tmp_path: Path) -> None:
    import timm

    file, out = tmp_path / "t.bin", tmp_path / "out.safetensors"
    torch.save(timm.create_model("resnet10t").state_dict(), file)
    start = ("convert_weights", "--from", "timm", "--architecture")
    assert "timm/resnet10t" in done(*start, "timm/resnet10t", file, out)
    out.unlink()
    message = refused(*start, "timm/resnet18", file, out, kind="WeightsError")
    assert "timm/resnet18" in message
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("kept", ["classifier", "backbone"])
def test_numbers_that_are_infinite_in_32_bits_are_refused(refused: Refused, tmp_path: Path, kept: str) -> None:
    """Of 64 bits they are finite, and in the model that they are copied to no longer."""
    state = get_model("resnet18", weights=None, num_classes=3).state_dict()
    state = {name: tensor for name, tensor in state.items() if kept == "classifier" or not name.startswith("fc.")}
    file, out = tmp_path / "large.pth", tmp_path / "out.safetensors"
    torch.save({name: tensor.double() * 1e300 for name, tensor in state.items()}, file)
    said = refused(*CONVERT, "resnet18", file, out, kind="WeightsError")
    assert "not finite in" in said
    assert "in 32 bits: conv1.weight" in said
    assert not out.exists()


@pytest.mark.slow
def test_timms_weights_that_are_infinite_in_32_bits_are_refused(refused: Refused, tmp_path: Path) -> None:
    import timm

    file, out = tmp_path / "t.bin", tmp_path / "out.safetensors"
    torch.save({n: t.double() * 1e300 for n, t in timm.create_model("resnet10t").state_dict().items()}, file)
    start = ("convert_weights", "--from", "timm", "--architecture", "timm/resnet10t")
    assert "in 32 bits: conv1.0.weight" in refused(*start, file, out, kind="WeightsError")
    assert not out.exists()
