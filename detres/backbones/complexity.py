"""What a network costs, counted and not timed: parameters and multiply-adds of every stage, as in table 1 of the paper.

A *multiply-add* is one product of a convolution or of fc, with its addition; the paper counts nothing else. H×W pixels.
"""

from __future__ import annotations

import copy
import functools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from detres.backbones.architectures import BACKBONES, Shortcut, StrideIn
from detres.backbones.building import Choices, build_network
from detres.backbones.network import Network
from detres.backbones.norms import FrozenBatchNorm
from detres.errors import ConfigError


@dataclass(frozen=True)
class StageCost:
    """One of c1..c5, fc7 or fc. size: (rows, columns) of its map; 1×1 of fc."""

    stage: str
    channels: int
    size: tuple[int, int]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class NetCost:
    """A network, for one image of `size` pixels."""

    name: str
    size: tuple[int, int]
    stages: tuple[StageCost, ...]

    @property
    def parameters(self) -> int:
        return sum(stage.parameters for stage in self.stages)

    @property
    def multiply_adds(self) -> int:
        return sum(stage.multiply_adds for stage in self.stages)


@functools.cache
def cost_of(
    name: str,
    *,
    num_classes: int | None = None,
    crop: int | None = None,
    shortcut: Shortcut | None = None,
    stride_in: StrideIn | None = None,
    output_stride: Literal[8, 16, 32] = 32,
) -> NetCost:
    """What a classifier of list_backbones() costs, without building its weights.

    num_classes: None is 1000, or 10 of the CIFAR nets. crop: side of the image; None is 224, or 32. The rest are the
    arguments of build_classifier. Raises ConfigError where they contradict the architecture.
    """
    if name not in BACKBONES:
        raise ConfigError(f"net {name!r} is none of {', '.join(BACKBONES)}")
    own = BACKBONES[name]
    choices = Choices(shortcut=shortcut, stride_in=stride_in, output_stride=output_stride)
    # Tensors on this device have shapes and no contents.
    with torch.device("meta"):
        net = build_network(name, choices, num_classes=num_classes or own.classes)
    return count_cost(net, (crop or own.crop, crop or own.crop))


def count_cost(net: Network, size: tuple[int, int]) -> NetCost:
    """What a network costs as it is, on whatever device; fc counts where it has one. size: (H, W) of an image."""
    parameters = Counter[str]()
    for name, parameter in net.named_parameters():
        parameters[net.stage_of(name)] += parameter.numel()
    multiply_adds, shapes = Counter[str](), {}

    def count(name: str, module: nn.Module, output: Tensor) -> None:
        if isinstance(module, nn.Conv2d | nn.Linear):
            stage = net.stage_of(name)
            rows, columns = output.shape[2:] or (1, 1)
            # Every cell of the map takes one product for each weight.
            multiply_adds[stage] += module.weight.numel() * rows * columns
            # What follows the last layer of a stage keeps the map's shape.
            shapes[stage] = (output.shape[1], (rows, columns))

    _walk(_skeleton(net), size, count)
    stages = tuple(
        StageCost(stage, channels, cells, parameters[stage], multiply_adds[stage])
        for stage, (channels, cells) in shapes.items()
    )
    return NetCost(net.name, size, stages)


def _skeleton(net: Network) -> Network:
    """A copy whose tensors have shapes and no contents, without the norms, which are slow there and cost nothing."""
    copied = copy.deepcopy(net).to("meta").eval()
    for parent in list(copied.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d | nn.SyncBatchNorm | nn.GroupNorm | FrozenBatchNorm):
                setattr(parent, name, nn.Identity())
    return copied


def _walk(net: Network, size: tuple[int, int], told: Callable[[str, nn.Module, Tensor], None]) -> None:
    """`told` is called with the name, the module and the output of everything an image runs through."""
    for name, module in net.named_modules():
        if name:
            module.register_forward_hook(lambda module, _, output, name=name: told(name, module, output))
    image = torch.zeros(1, 3, *size, dtype=next(net.parameters()).dtype, device="meta")
    with torch.no_grad():
        net.last_map(image) if net.num_classes is None else net.logits(image)
