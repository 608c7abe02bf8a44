"""Counts against table 1 of the paper, torchvision's published ones, and sums done by hand."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from detres.backbones import build_backbone, list_backbones
from detres.backbones.complexity import cost_of, count_cost
from detres.errors import ConfigError


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_counts_are_those_torchvision_publishes(depth: int) -> None:
    cost, known = cost_of(f"resnet{depth}"), torchvision.models.get_model_weights(f"resnet{depth}").IMAGENET1K_V1.meta
    assert cost.parameters == known["num_params"]
    assert cost.multiply_adds / 1e9 == pytest.approx(known["_ops"], abs=0.0005)


@pytest.mark.parametrize(
    ("name", "options", "paper"),
    [
        ("resnet18", {"shortcut": "A"}, 1.8),
        ("resnet34", {"shortcut": "A"}, 3.6),
        ("resnet50", {"stride_in": "1x1"}, 3.8),
        ("resnet101", {"stride_in": "1x1"}, 7.6),
        ("resnet152", {"stride_in": "1x1"}, 11.3),
    ],
)
def test_with_the_papers_choices_the_counts_are_table_1s(name: str, options: dict[str, str], paper: float) -> None:
    # The paper cuts 3.86 off to 3.8, so rounding is not asked for.
    assert cost_of(name, **options).multiply_adds / 1e9 == pytest.approx(paper, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "millions"), [(20, 0.27), (32, 0.46), (44, 0.66), (56, 0.85), (110, 1.7), (1202, 19.4)]
)
def test_cifar_nets_have_the_papers_parameters(layers: int, millions: float) -> None:
    places = 1 if millions > 1 else 2
    assert round(cost_of(f"cifar10_resnet{layers}").parameters / 1e6, places) == millions


def test_identities_cost_nothing_and_projections_what_they_multiply() -> None:
    plain, padded, projected = (cost_of("resnet18", shortcut=s).multiply_adds for s in ("plain", "A", "B"))
    assert plain == padded
    assert projected - padded == 64 * 128 * 28**2 + 128 * 256 * 14**2 + 256 * 512 * 7**2


def test_the_stages_of_a_cifar_net_by_hand() -> None:
    cost = cost_of("cifar10_resnet20", shortcut="A")
    assert [(s.stage, s.channels, s.size) for s in cost.stages] == [
        ("c1", 16, (32, 32)),
        ("c2", 16, (32, 32)),
        ("c3", 32, (16, 16)),
        ("c4", 64, (8, 8)),
        ("fc", 10, (1, 1)),
    ]
    cells, products = 32 * 32, 9 * 16 * 16
    assert [s.multiply_adds for s in cost.stages] == [
        27 * 16 * cells,
        6 * products * cells,
        (2 + 5 * 4) * products * cells // 4,
        (2 + 5 * 4) * 4 * products * cells // 16,
        640,
    ]
    assert cost.stages[-1].parameters == 650
    assert cost.stages[0].parameters == 27 * 16 + 2 * 16


def test_counting_leaves_no_trace() -> None:
    net = build_backbone("cifar10_resnet20").train()
    before = net.bn1.running_mean.clone()
    cost = count_cost(net, (48, 64))
    assert [stage.stage for stage in cost.stages] == ["c1", "c2", "c3", "c4"]
    assert cost.stages[-1].size == (12, 16)
    assert net.training
    assert torch.equal(net.bn1.running_mean, before)
    assert not any(module._forward_hooks for module in net.modules())


@pytest.mark.slow
def test_every_net_of_the_list_can_be_counted() -> None:
    small = [name for name in list_backbones() if "1202" not in name]
    costs = {name: cost_of(name) for name in small}
    assert all(cost.multiply_adds > cost.parameters > 0 for cost in costs.values())
    assert all(isinstance(name, str) for name in costs)


def test_a_folded_or_frozen_net_costs_the_same_convolutions() -> None:
    frozen = build_backbone("cifar10_resnet20", norm="frozen")
    assert count_cost(frozen, (32, 32)).multiply_adds == cost_of("cifar10_resnet20").multiply_adds - 640
    assert isinstance(frozen.conv1, nn.Conv2d)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [("resnet19", {}, "none of resnet18"), ("plain18", {"shortcut": "B"}, "no shortcuts")],
)
def test_what_cannot_be_built_is_told(name: str, options: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        cost_of(name, **options)
