"""train_cls with a VGG net: trained, tested, handed on to a detector and to other classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from detres.backbones import build_backbone
from detres.backbones.architectures import BACKBONES, VggArchitecture
from detres.classification.classifier import build_classifier
from detres.classification.files import ClassifierSettings
from detres.classification.hand_off import BACKBONE_FILE
from detres.classification.transfer import transfer_classifier
from detres.config.loading import load_config
from detres.prediction.classifier import Classifier
from detres.tasks.training import train

OVERRIDES = ("training.recompute_norms=4", "training.eval_every=3", "test.crops=dense")


@pytest.mark.parametrize("name", ["small", "small_bn"])
def test_a_vgg_net_is_trained_tested_and_handed_on(
    name: str, tiny_classes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = VggArchitecture((1, 1, 1, 1, 1), (8, 8, 8, 8, 8), fc_channels=16, batch_norm=name == "small_bn")
    monkeypatch.setitem(BACKBONES, name, net)
    train(load_config(tiny_classes.cfg, [*OVERRIDES, f"model.backbone.name={name}"]), tmp_path / "run", device="cpu")
    file = tmp_path / "run" / BACKBONE_FILE
    tensors = load_file(file)

    model, settings = ClassifierSettings.load(file)
    assert settings.norms == (dict.fromkeys(net.stages, "batch") if net.batch_norm else {})
    classifier = Classifier.from_checkpoint(tmp_path / "run")  # Norms folded, and tested as in the run.
    found = classifier.predict(tiny_classes.pictures()[0])
    assert found.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert found.class_names == settings.class_names == ("blue", "red")

    trunk = build_backbone(name, weights=file, outputs=("c5", "fc7"), frozen_stages=2)
    assert set(trunk.load_report.left_over) == {"classifier.6.weight", "classifier.6.bias"}
    assert trunk.load_report.metadata.measured.keys() == {"top1_error"}
    assert torch.equal(trunk.classifier[0].weight, tensors["classifier.0.weight"])

    other = build_classifier(name, num_classes=2)
    told = transfer_classifier(other, ("green", "red"), *ClassifierSettings.read(file), str(file))
    assert (told.matched, told.new, told.loaded) == (("red",), ("green",), len(tensors) - 2)
    assert torch.equal(other.classifier[6].weight[1], model.classifier[6].weight[1])
