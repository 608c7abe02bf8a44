"""Names and shapes say whether tensors are a network's; those of others are brought under its names first."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torchvision.models import get_model

from detres.backbones.building import build_backbone
from detres.backbones.weights.fitting import fit
from detres.backbones.weights.foreign_names import architecture_of, under_own_names
from detres.classification.classifier import build_classifier
from detres.errors import WeightsError


def theirs(name: str) -> dict[str, Tensor]:
    with torch.device("meta"):
        return get_model(name, weights=None).state_dict()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "resnet34", "resnet50", "vgg16", "vgg16_bn"])
def test_torchvisions_networks_fit_themselves_and_no_other(name: str) -> None:
    tensors = theirs(name)
    assert architecture_of(tensors) == name
    assert fit(tensors, name).num_classes == 1000
    for other in {"resnet18", "resnet34", "resnet50", "resnet101", "vgg16", "vgg16_bn", "cifar10_resnet20"} - {name}:
        with pytest.raises(
            WeightsError, match=f"no weights of {other}: .*they look like {name}'s: --architecture {name}"
        ):
            fit(tensors, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wide_resnet50_2", "resnext50_32x4d", "vgg19", "mobilenet_v2", "densenet121"])
def test_networks_that_are_not_ours_fit_none(name: str) -> None:
    tensors = theirs(name)
    assert architecture_of(tensors) is None
    for architecture in ("resnet50", "vgg16"):
        with pytest.raises(WeightsError, match=f"no weights of {architecture}"):
            fit(tensors, architecture)


def test_the_last_stages_may_be_missing_as_a_whole_and_no_others() -> None:
    tensors = theirs("resnet18")
    trunk = {name: tensor for name, tensor in tensors.items() if not name.startswith(("layer4", "fc"))}
    assert fit(trunk, "resnet18").num_classes is None
    assert fit(trunk, "resnet18").missing == {"c5": "layer4.0.conv1.weight"}
    half = {name: tensor for name, tensor in trunk.items() if not name.startswith("layer3")}
    assert fit(half, "resnet18").missing.keys() == {"c4", "c5"}
    assert fit(tensors, "resnet18").missing == {}
    assert fit({n: t for n, t in tensors.items() if not n.startswith("fc")}, "resnet18").num_classes is None
    for part in ("layer2", "conv1", "layer4.1", "fc.bias"):
        with pytest.raises(WeightsError, match="names are missing, such as"):
            fit({name: tensor for name, tensor in tensors.items() if not name.startswith(part)}, "resnet18")
    with pytest.raises(WeightsError, match=r"1 shapes differ: layer1.0.bn1.weight is \(3,\), expected \(64,\)"):
        fit(tensors | {"layer1.0.bn1.weight": torch.zeros(3)}, "resnet18")


@pytest.mark.parametrize("architecture", ["resnet18", "vgg16"])
def test_names_of_which_none_is_the_networks_are_told_as_such(architecture: str) -> None:
    """And not as a few that are missing, which would be the last ones to add."""
    strange = {"encoder.one.weight": torch.zeros(2), "encoder.two.weight": torch.zeros(3)}
    with pytest.raises(WeightsError, match=r"none of its 2 names is the network's.* begins with encoder.one") as caught:
        fit(strange, architecture)
    assert "missing" not in str(caught.value)


def test_what_lies_beside_a_network_is_left_over() -> None:
    tensors = {f"backbone.{name}": t for name, t in theirs("resnet18").items() if not name.startswith("fc")}
    beside = {
        "neck.fc0.weight": torch.zeros(2, 2),
        "head.fc.weight": torch.zeros(7, 512),
        "head.fc.bias": torch.zeros(7),
    }
    own, told = under_own_names(tensors | beside, "resnet18")
    fitting = fit(own, "resnet18")
    assert fitting.num_classes == 7
    assert fitting.left_over == ("neck.fc0.weight",)
    assert told == ("taken off its names: backbone.", "its head.fc. is fc.")


def test_two_networks_in_one_file_are_a_question() -> None:
    tensors = theirs("resnet18")
    both = {f"{part}.{name}": t for part in ("encoder_q", "encoder_k") for name, t in tensors.items()}
    with pytest.raises(WeightsError, match="holds 2 networks, encoder_k, encoder_q; save the state dict of one"):
        under_own_names(both, "resnet18")
    alone = {name: tensor for name, tensor in both.items() if name.startswith("encoder_q")}
    assert under_own_names(alone | {"queue": torch.zeros(1)}, "resnet18")[0].keys() == tensors.keys() | {"queue"}
    assert under_own_names(both, "timm/any") == (both, ())


def test_shortcuts_are_as_the_tensors_have_them() -> None:
    for shortcut in ("A", "B", "C"):
        with torch.device("meta"):
            tensors = build_classifier("cifar10_resnet20", num_classes=10, shortcut=shortcut).state_dict()
        renamed = {name.replace(".downsample.", ".shortcut."): tensor for name, tensor in tensors.items()}
        assert fit(under_own_names(renamed, "cifar10_resnet20")[0], "cifar10_resnet20").shortcut == shortcut
    with torch.device("meta"):
        plain = build_backbone("plain18").state_dict()
    assert fit(plain, "plain18").shortcut == "plain"
    with pytest.raises(WeightsError, match="names are missing"):
        fit(plain, "resnet18")
