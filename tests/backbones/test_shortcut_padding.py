"""Option A pads at the end or on both sides; a port that does either gives the same logits here."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detres.backbones.building import build_backbone
from detres.backbones.resnet import PaddedIdentity
from detres.backbones.weights.files import read_weights, write_weights
from detres.backbones.weights.loading import save_backbone
from detres.backbones.weights.metadata import WeightsMetadata
from detres.classification.classifier import build_classifier
from detres.errors import ConfigError, WeightsError
from detres.structures import IMAGENET_STATS


class PortBlock(nn.Module):
    """A block as such ports write it, its shortcut by hand."""

    def __init__(self, channels: int, planes: int, stride: int, both: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.widens, self.zeros = planes != channels, (planes // 4, planes // 4) if both else (0, planes - channels)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if not self.widens:
            return F.relu(out + x)
        thinned = x[:, :, ::2, ::2]
        before, behind = (thinned.new_zeros(len(x), n, *thinned.shape[2:]) for n in self.zeros)
        return F.relu(out + torch.cat([before, thinned, behind], dim=1))


class Port(nn.Module):
    """ResNet-20 for CIFAR-10, whose last layer is called linear."""

    def __init__(self, *, both: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        channels = 16
        for number, planes in enumerate((16, 32, 64), 1):
            strides = (1 if number == 1 else 2, 1, 1)
            blocks = [PortBlock(c, planes, s, both) for c, s in zip((channels, planes, planes), strides, strict=True)]
            setattr(self, f"layer{number}", nn.Sequential(*blocks))
            channels = planes
        self.linear = nn.Linear(64, 10)
        for module in self.modules():  # statistics that a mistake would show in
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.1, 0.1)
                nn.init.uniform_(module.running_var, 0.5, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean((2, 3)))


@pytest.mark.parametrize(("both", "padding"), [(True, "both"), (False, "end"), (False, None)])
def test_a_port_gives_the_same_logits(both: bool, padding: str | None) -> None:
    torch.manual_seed(0)
    port, images = Port(both=both).eval(), torch.randn(4, 3, 32, 32)
    ours = build_classifier("cifar10_resnet20", num_classes=10, shortcut_padding=padding).eval()
    ours.load_state_dict({name.replace("linear.", "fc."): tensor for name, tensor in port.state_dict().items()})
    with torch.no_grad():
        torch.testing.assert_close(ours.logits(images), port(images), rtol=1e-4, atol=1e-5)
        ours.layer2[0].downsample = PaddedIdentity(2, 16, "end" if both else "both")
        assert not torch.allclose(ours.logits(images), port(images), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize(("padding", "expected"), [("end", [1, 2, 3, 0, 0, 0]), ("both", [0, 1, 2, 3, 0, 0])])
def test_zeros_stand_where_they_are_said_to(padding: str, expected: list[int]) -> None:
    x = torch.arange(1.0, 4.0).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    out = PaddedIdentity(2, 3, padding)(x)
    assert out.shape == (1, 6, 2, 2)
    assert out[0, :, 0, 0].tolist() == expected


def test_weights_keep_the_padding_they_were_trained_with(tmp_path) -> None:
    file = tmp_path / "w.safetensors"
    save_backbone(file, build_backbone("cifar10_resnet20", shortcut_padding="both"))
    assert read_weights(file).metadata.shortcut_padding == "both"
    assert build_backbone("cifar10_resnet20", weights=file).shortcut_padding == "both"
    with pytest.raises(WeightsError, match="trained with shortcuts padded at both, asked for end"):
        build_backbone("cifar10_resnet20", weights=file, shortcut_padding="end")
    told = build_backbone("cifar10_resnet20", weights=file, shortcut_padding="end", allow_mismatch=True).load_report
    assert "asked for end" in told.summary()


def test_where_nobody_said_the_choice_is_free(tmp_path) -> None:
    file, net = tmp_path / "w.safetensors", build_backbone("cifar10_resnet20")
    write_weights(file, net.state_dict(), WeightsMetadata("cifar10_resnet20", IMAGENET_STATS))
    assert build_backbone("cifar10_resnet20", weights=file).shortcut_padding == "end"
    assert build_backbone("cifar10_resnet20", weights=file, shortcut_padding="both").shortcut_padding == "both"


@pytest.mark.parametrize("name", ["resnet18", "plain18", "vgg16", "timm/resnet10t"])
def test_nets_without_such_shortcuts_take_no_padding(name: str) -> None:
    with pytest.raises(ConfigError, match="shortcut_padding"):
        build_backbone(name, shortcut_padding="both")
    if name == "resnet18":
        assert build_backbone(name, shortcut="A", shortcut_padding="both").layer2[0].downsample.before == 32
