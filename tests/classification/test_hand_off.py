"""A classifier's trunk in one file: detres's detectors, torchvision and timm take it as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors import safe_open
from safetensors.torch import load_file

from detres import build_backbone
from detres.checkpoints.saving import save_checkpoint
from detres.classification.classifier import Classifier, build_classifier
from detres.classification.files import ClassifierSettings, settings_of
from detres.classification.hand_off import BACKBONE_FILE, write_backbone
from detres.config.classification_schema import ClassificationDataConfig, ClassificationTestConfig, ClassifierConfig
from detres.config.sections import BackboneConfig
from detres.errors import WeightsError

NAMES = ("circle", "square", "star")
BEST = {"metric": "top1_error", "value": 0.25, "step": 7}


def trained(name: str, **options: object) -> Classifier:
    """A classifier whose statistics are not those it was born with."""
    torch.manual_seed(0)
    model = build_classifier(name, num_classes=len(NAMES), **options)
    for norm in (module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)):
        norm.running_mean.uniform_(-0.1, 0.1)
        norm.running_var.uniform_(0.8, 1.2)
    return model.eval()


def save_run(model: Classifier, run: Path, *, step: int = 7) -> Path:
    """A run's folder with one checkpoint and the file that is handed on; returns this file."""
    config = ClassifierConfig(backbone=BackboneConfig(name=model.name, norm="batch"))
    settings = settings_of(
        model, config, ClassificationDataConfig(), ClassificationTestConfig(), class_names=NAMES, recipe="mine"
    )
    folder = run / "checkpoints" / "best"
    save_checkpoint(folder, model.state_dict(), settings.to_metadata(), {"step": step, "best": BEST})
    write_backbone(run, folder)
    return run / BACKBONE_FILE


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvision_and_timm_load_it_strictly_and_compute_the_same(name: str, tmp_path: Path) -> None:
    model = trained(name)
    tensors = load_file(save_run(model, tmp_path))
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    expected = model.predict(images)
    for theirs in (
        torchvision.models.get_model(name, num_classes=len(NAMES)),
        timm.create_model(name, num_classes=len(NAMES)),
    ):
        theirs.load_state_dict(tensors, strict=True)
        torch.testing.assert_close(theirs.eval()(images), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "resnet101", "resnet152"])
def test_every_depth_has_torchvisions_names_and_shapes(name: str) -> None:
    with torch.device("meta"):
        ours = build_classifier(name, num_classes=10)
        theirs = torchvision.models.get_model(name, num_classes=10)
    assert [(n, t.shape) for n, t in ours.state_dict().items()] == [
        (n, t.shape) for n, t in theirs.state_dict().items()
    ]


def test_the_file_says_what_it_is_and_what_it_reached(tmp_path: Path) -> None:
    path = save_run(trained("resnet18"), tmp_path)
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["backbone"])
    assert path.stat().st_mode & 0o777 == 0o644, "who is handed it may read it"
    assert told["architecture"] == "resnet18"
    assert told["stride_in"] == "3x3"
    assert told["shortcut"] == "B"
    assert told["pixel_stats"]["order"] == "rgb"
    assert told["recipe"] == "mine"
    assert told["measured"] == {"top1_error": 0.25}
    other = save_run(trained("cifar10_resnet20"), tmp_path / "later", step=9)
    with safe_open(other, framework="pt") as file:
        assert json.loads(file.metadata()["backbone"])["measured"] == {}, "the best is another checkpoint's"


@pytest.mark.slow
def test_a_backbone_is_loaded_whole_from_the_file_the_run_and_the_checkpoint(tmp_path: Path) -> None:
    model = trained("resnet18", stride_in=None)
    path = save_run(model, tmp_path)
    for weights in (path, str(path), tmp_path, tmp_path / "checkpoints" / "best"):
        backbone = build_backbone("resnet18", weights=weights)
        assert backbone.load_report.missing == ()
        assert set(backbone.load_report.left_over) == {"fc.weight", "fc.bias"}
        assert set(backbone.norms.values()) == {"frozen"}
        assert torch.equal(backbone.layer4[1].bn2.running_mean, model.layer4[1].bn2.running_mean)
    assert "mine, top1_error 25.00 %" in build_backbone("resnet18", weights=path).load_report.summary()


def test_the_file_is_a_classifiers_file_too(tmp_path: Path) -> None:
    model = trained("cifar10_resnet20")
    again, settings = ClassifierSettings.load(save_run(model, tmp_path))
    assert settings.class_names == NAMES
    images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    torch.testing.assert_close(again.predict(images), model.predict(images))


def test_another_architecture_and_an_empty_folder_are_told(tmp_path: Path) -> None:
    save_run(trained("resnet18"), tmp_path)
    with pytest.raises(WeightsError, match="weights of resnet18, not of resnet34"):
        build_backbone("resnet34", weights=tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsError, match="no checkpoint here"):
        build_backbone("resnet18", weights=tmp_path / "empty")
