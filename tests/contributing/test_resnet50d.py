"""A backbone is one file and one line: it is timm's ResNet-50-D, and all that a ResNet of the house's is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import detres
from detres.backbones.building import Choices, build_network
from detres.backbones.norms import fold_norms
from detres.backbones.weights.foreign_names import architecture_of
from detres.backbones.weights.loading import save_backbone
from detres.conversion.handing_back import resnet_settings
from detres.detection.files import DetectorSettings
from detres.errors import ConfigError, WeightsError

IMAGES = (2, 3, 65, 98)  # sides of which halves are odd


@pytest.fixture(autouse=True)
def resnet50d(contribute: Any) -> None:
    contribute("resnet50d", "resnet50d")


@pytest.fixture(scope="module")
def theirs() -> nn.Module:
    """timm's, with norms that change something."""
    torch.manual_seed(0)
    model = timm.create_model("resnet50d").eval()
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            nn.init.uniform_(values, 0.1, 0.5)
    return model


def their_maps(model: nn.Module, images: Tensor) -> dict[str, Tensor]:
    x = model.maxpool(model.act1(model.bn1(model.conv1(images))))
    maps = {}
    for level in range(1, 5):
        x = maps[f"c{level + 1}"] = model.get_submodule(f"layer{level}")(x)
    return maps


def assert_same(ours: dict[str, Tensor], others: dict[str, Tensor]) -> None:
    assert list(ours) == list(others)
    for name, expected in others.items():
        torch.testing.assert_close(ours[name], expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_it_is_listed_and_a_misspelling_is_told_it() -> None:
    assert "resnet50d" in detres.list_backbones()
    with pytest.raises(ConfigError, match=r"did you mean resnet50d\?"):
        detres.build_backbone("resnet50_d")


@pytest.mark.slow
def test_with_timms_weights_its_maps_are_timms_with_any_kind_of_constant_norm(theirs: nn.Module) -> None:
    images = torch.randn(IMAGES, generator=torch.Generator().manual_seed(1))
    tensors = {name: tensor for name, tensor in theirs.state_dict().items() if not name.startswith("fc.")}
    ours = detres.build_backbone("resnet50d").eval()
    ours.load_state_dict(tensors, strict=True)
    frozen = detres.build_backbone("resnet50d", norm="frozen")
    frozen.load_state_dict(tensors, strict=True)
    with torch.no_grad():
        expected = their_maps(theirs, images)
        for net in (ours, frozen, fold_norms(frozen)):
            assert_same(net(images), expected)
    assert_same(ours(images), expected)
    assert {name: spec.stride for name, spec in ours.specs.items()} == {"c2": 4, "c3": 8, "c4": 16, "c5": 32}


@pytest.mark.slow
def test_a_classifier_takes_timms_state_dict_strictly(theirs: nn.Module) -> None:
    classifier = detres.build_classifier("resnet50d", num_classes=1000).eval()
    classifier.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(IMAGES, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(classifier.predict(images), theirs(images), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_weights_are_written_read_and_recognised(theirs: nn.Module, tmp_path: Path) -> None:
    net = detres.build_backbone("resnet50d")
    save_backbone(tmp_path / "d.safetensors", net)
    again = detres.build_backbone("resnet50d", weights=tmp_path / "d.safetensors", frozen_stages=1)
    assert again.load_report.missing == again.load_report.left_over == ()
    assert set(again.norms.values()) == {"frozen"}
    assert not any(parameter.requires_grad for parameter in again.conv1.parameters())
    assert architecture_of(theirs.state_dict()) == "resnet50d"
    assert architecture_of(timm.create_model("resnet50").state_dict()) == "resnet50"
    with pytest.raises(WeightsError, match="weights of resnet50d, not of resnet50"):
        detres.build_backbone("resnet50", weights=tmp_path / "d.safetensors")


@pytest.mark.slow
def test_the_choices_of_a_resnet_are_its_own() -> None:
    with torch.device("meta"):
        dilated = build_network("resnet50d", Choices(output_stride=16, zero_init_last=True, drop_path=0.1))
        everywhere = build_network("resnet50d", Choices(shortcut="C"))
    assert dilated.specs["c5"].stride == 16
    assert all(block.downsample is not None for block in everywhere.stage("c4"))
    with pytest.raises(ConfigError, match="vgg16 has no shortcuts, no 1x1 convolutions, and strides that are fixed"):
        detres.build_backbone("vgg16", shortcut="C")


@pytest.mark.slow
def test_a_detector_trains_a_step_on_it_and_is_rebuilt_from_its_file(tiny: Any, run_folder: Path) -> None:
    keys = ["model.layout=fpn", "model.anchors.sizes=null", "model.backbone.name=resnet50d"]
    config = detres.load_config(tiny.cfg, [*keys, "training.steps=1", "data.test=[]"])
    start = detres.build_detector(config, ["disc", "square"]).state_dict()
    detres.train(config, out=run_folder, device="cpu")
    tensors = load_file(run_folder / "checkpoints" / "last" / "model.safetensors")
    assert tensors.keys() == start.keys()
    assert not torch.equal(tensors["backbone.conv1.3.weight"], start["backbone.conv1.3.weight"])
    model, settings = DetectorSettings.load(run_folder / "checkpoints" / "last" / "model.safetensors")
    assert model.backbone.name == "resnet50d"
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, tensors[name]), name
    detres.Detector.from_checkpoint(run_folder, device="cpu").predict(np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(WeightsError, match="its backbone is resnet50d; ResNets of 18 to 152 layers are handed back"):
        resnet_settings(settings)
