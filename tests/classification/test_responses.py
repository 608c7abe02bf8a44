"""Standard deviations of layer responses against brute force over all images at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detres.backbones.architectures import VggArchitecture
from detres.backbones.norms import freeze_norms
from detres.classification.classifier import Classifier, VggClassifier, build_classifier
from detres.classification.responses import Moments, layer_responses
from detres.errors import ConfigError, DataError, WeightsError


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (count, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def net(name: str = "cifar10_resnet20", **options: str) -> Classifier:
    torch.manual_seed(1)
    model = build_classifier(name, num_classes=4, **options)
    with torch.no_grad():
        for parameter in (p for n, p in model.named_parameters() if "bn" in n):
            parameter.add_(0.3 * torch.randn_like(parameter))
        model.train().predict(images(8, seed=9))
    return model.eval()


@torch.no_grad()
def brute_force(model: Classifier, pixels: torch.Tensor) -> list[float]:
    """Every layer written out, all images at once."""
    x = model.bn1(model.conv1(model.normalize(pixels)))
    found, x = [x.std(correction=0)], x.relu()
    for stage in model.stages[1:]:
        for block in model.stage(stage):
            first = block.bn1(block.conv1(x))
            second = block.bn2(block.conv2(first.relu()))
            found += [first.std(correction=0), second.std(correction=0)]
            x = (second + block.downsample(x) if block.downsample is not None else second).relu()
    return [float(std) for std in found]


@pytest.mark.parametrize(("name", "options"), [("cifar10_resnet20", {}), ("cifar10_resnet20", {"shortcut": "C"})])
def test_responses_equal_brute_force_over_batches_of_any_size(name: str, options: dict[str, str]) -> None:
    model, pixels = net(name, **options), images(7)
    found = layer_responses(model, pixels.split(3))
    assert found.images == 7
    assert found.stds == pytest.approx(brute_force(model, pixels), rel=1e-5)
    assert found.mean == pytest.approx(np.mean(found.stds))


def test_a_plain_nets_responses_stand_behind_its_norms() -> None:
    model, pixels = net("cifar10_plain20"), images(4)
    assert layer_responses(model, [pixels]).stds == pytest.approx(brute_force(model, pixels), rel=1e-5)


def test_layers_are_named_in_their_order_and_projections_are_none() -> None:
    found = layer_responses(net(shortcut="C"), [images(2)])
    assert len(found.layers) == 19
    assert found.layers[:3] == ("conv1", "layer1.0.conv1", "layer1.0.conv2")
    assert found.layers[-1] == "layer3.2.conv2"


def test_a_norm_that_is_a_constant_is_looked_behind_too() -> None:
    model, pixels = net(), images(4)
    expected = brute_force(model, pixels)
    freeze_norms(model)
    assert layer_responses(model, [pixels]).stds == pytest.approx(expected, rel=1e-5)


def test_looking_leaves_no_trace() -> None:
    model = net().train()
    before = model.bn1.running_mean.clone()
    layer_responses(model, [images(2)])
    assert model.training
    assert torch.equal(model.bn1.running_mean, before)
    assert not any(module._forward_hooks for module in model.modules())


def test_no_images_and_broken_weights_are_told() -> None:
    model = net()
    with pytest.raises(DataError, match="no images"):
        layer_responses(model, [])
    model.layer1[0].conv1.weight.data.fill_(float("nan"))
    with pytest.raises(WeightsError, match=r"layer1\.0\.conv1 is not finite"):
        layer_responses(model, [images(1)])


def test_a_net_without_a_resnets_norms_is_refused() -> None:
    model = VggClassifier(VggArchitecture((1, 1), (4, 4), fc_channels=4), num_classes=2)
    with pytest.raises(ConfigError, match="behind the norms of a residual or plain net, which vgg is not"):
        layer_responses(model, [images(1)])


def test_joined_moments_are_those_of_all_numbers() -> None:
    numbers = np.random.default_rng(0).normal(3.0, 2.0, 50)
    parts = [Moments(len(part), part.mean(), part.var()) for part in (numbers[:1], numbers[1:20], numbers[20:])]
    joined = Moments()
    for part in parts:
        joined = joined.joined(part)
    assert (joined.count, joined.mean, joined.variance) == pytest.approx((50, numbers.mean(), numbers.var()))
