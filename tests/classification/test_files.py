from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file

from detres.backbones import build_backbone
from detres.classification.classifier import Classifier, build_classifier
from detres.classification.files import ClassifierSettings, settings_of, stated_pixel_stats
from detres.config.classification_schema import (
    ClassificationDataConfig,
    ClassificationTestConfig,
    ClassifierConfig,
)
from detres.config.sections import BackboneConfig
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS

NAMES = ("cat", "dog", "eel")


def write(path: Path, name: str = "cifar10_resnet20", **options: Any) -> Classifier:
    """A classifier with random weights and statistics, written as a run writes it."""
    torch.manual_seed(0)
    model = build_classifier(name, num_classes=3, **options).eval()
    for norm in model.modules():
        if hasattr(norm, "running_mean"):
            norm.running_mean.normal_(0.0, 0.1)
    section = BackboneConfig(name=name, weights="somewhere.safetensors", **options)
    settings = settings_of(
        model,
        ClassifierConfig(backbone=section),
        ClassificationDataConfig(crop=32, cropping="pad", root="/not/there"),
        ClassificationTestConfig(crops=10),
        class_names=NAMES,
        recipe="mine",
    )
    save_file(model.state_dict(), path, settings.to_metadata())
    return model


@pytest.mark.parametrize("name", ["cifar10_resnet20", "cifar10_plain20"])
def test_a_file_alone_rebuilds_the_model_and_what_feeds_it(tmp_path: Path, name: str) -> None:
    model = write(tmp_path / "m.safetensors", name)
    again, settings = ClassifierSettings.load(tmp_path / "m.safetensors")
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(again.predict(images), model.predict(images), rtol=0, atol=0)
    assert not again.training
    assert again.pixel_stats == model.pixel_stats
    assert settings.class_names == NAMES
    assert (settings.preprocessing.crop, settings.preprocessing.cropping) == (32, "pad")
    assert settings.preprocessing.root is None, "where the data lay is nobody's business"
    assert settings.model.backbone.weights is None
    assert (settings.test.crops, settings.recipe) == (10, "mine")


@pytest.mark.slow
def test_choices_of_the_architecture_come_back(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors", "resnet50", shortcut="C", stride_in="1x1", norm="group", norm_eps=1e-3)
    again, _ = ClassifierSettings.load(tmp_path / "m.safetensors")
    assert (again.shortcut, again.stride_in, again.norm_eps) == ("C", "1x1", 1e-3)
    assert set(again.norms.values()) == {"group"}


def test_how_it_is_trained_comes_back_for_a_run_that_goes_on(tmp_path: Path) -> None:
    write(tmp_path / "m.safetensors")
    _, settings = ClassifierSettings.read(tmp_path / "m.safetensors")
    asked = settings.model.model_copy(update={"drop_path": 0.2, "checkpoint_blocks": True})
    again = replace(settings, model=asked).build("m")
    assert (again.layer1[0].drop_path, again.layer3[2].drop_path) == (0.0, 0.2)
    assert again.layer1.recomputes


@pytest.mark.slow
def test_the_file_is_a_backbone_for_a_detector_and_for_torchvision(tmp_path: Path) -> None:
    model = write(tmp_path / "m.safetensors", "resnet18")
    backbone = build_backbone("resnet18", weights=tmp_path / "m.safetensors")
    assert backbone.load_report.missing == ()
    assert set(backbone.load_report.left_over) == {"fc.weight", "fc.bias"}
    theirs = torchvision.models.resnet18(num_classes=3).eval()
    theirs.load_state_dict(load_file(tmp_path / "m.safetensors"))
    images = model.normalize(torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8))
    with torch.no_grad():
        torch.testing.assert_close(theirs(images), model.predict(images), rtol=1e-4, atol=1e-5)


def test_stated_pixels_come_in_the_order_of_the_weights() -> None:
    config = ClassifierConfig(pixel_mean=(1.0, 2.0, 3.0))
    assert stated_pixel_stats(config, IMAGENET_STATS).mean == (1.0, 2.0, 3.0)
    bgr = stated_pixel_stats(config, replace(IMAGENET_STATS, order="bgr"))
    assert bgr.mean == (3.0, 2.0, 1.0)
    assert bgr.std == IMAGENET_STATS.std
    assert stated_pixel_stats(ClassifierConfig(), IMAGENET_STATS) == IMAGENET_STATS


def test_another_depth_or_class_count_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write(path)
    _, settings = ClassifierSettings.read(path)
    deeper = settings.model.model_copy(update={"backbone": BackboneConfig(name="cifar10_resnet32")})
    with pytest.raises(WeightsError, match=r"its backbone is cifar10_resnet20, and .*cifar10_resnet32.*leave the name"):
        replace(settings, model=deeper).build(str(path))
    projected = settings.model.model_copy(update={"backbone": BackboneConfig(name="cifar10_resnet20", shortcut="B")})
    with pytest.raises(WeightsError, match=r"trained with shortcut A, asked for shortcut B"):
        replace(settings, model=projected).build("m")
    # A file whose tensors are not those its metadata describe: of another depth, of another number of classes.
    for name, rows in (("cifar10_resnet32", 3), ("cifar10_resnet20", 4)):
        other = build_classifier(name, num_classes=rows).state_dict()
        save_file(other, tmp_path / "other.safetensors", settings.to_metadata())
        with pytest.raises(WeightsError, match=r"other.safetensors: does not fit cifar10_resnet20 with 3 classes"):
            ClassifierSettings.load(tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="4 class names for the 3 rows"):
        settings_of(
            settings.build("m"),
            settings.model,
            settings.preprocessing,
            settings.test,
            class_names=("a", "b", "c", "d"),
        )


def test_what_is_no_classifier_is_told(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    write(path)
    text = json.loads(ClassifierSettings.read(path)[1].to_metadata()["detres"])
    cases = {
        "no classifier of detres's": None,
        "a detector, which eval_det, predict, visualize and train_det take": {"task": "detection", "schema": 1},
        "of schema 99": text | {"schema": 99},
        "names? no classes": text | {"model": text["model"] | {"class_names": None}},
        "may be damaged": text | {"model": 3},
        "none of resnet18": text
        | {
            "model": text["model"] | {"backbone": {"name": "os:system"}},
            "backbone": text["backbone"] | {"architecture": "os:system"},
        },
    }
    for expected, content in cases.items():
        save_file({"x": torch.zeros(1)}, path, None if content is None else {"detres": json.dumps(content)})
        with pytest.raises(WeightsError, match=expected):
            ClassifierSettings.load(path)
