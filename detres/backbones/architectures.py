"""What each name stands for: table 1 of the paper and section 4.2, as data. To add a ResNet, add a line at the foot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from detres.backbones.pixels import CIFAR10_STATS
from detres.structures import IMAGENET_STATS, PixelStats

Shortcut = Literal["A", "B", "C", "plain"]
"""Identity padded with zeros, projection where the shape changes, projection everywhere, none at all."""
StrideIn = Literal["1x1", "3x3"]
"""Which convolution of a bottleneck strides: the first, as in the paper, or the second, as in most since."""
Pool = Literal["torch", "caffe"]
"""The 3×3/2 max pool behind conv1: padded by one cell, or not padded and rounding sizes up."""


@dataclass(frozen=True)
class Architecture:
    """A residual or plain network. depths: blocks a stage. shortcut: the usual one. widths: of the 3×3 convolutions."""

    block: Literal["basic", "bottleneck"]
    depths: tuple[int, ...]
    shortcut: Shortcut = "B"
    widths: tuple[int, ...] = (64, 128, 256, 512)
    stem: Literal["imagenet", "cifar"] = "imagenet"
    pixel_stats: PixelStats = IMAGENET_STATS


def cifar(pairs: int, shortcut: Shortcut) -> Architecture:
    """The CIFAR net of 6 pairs + 2 layers (section 4.2): three stages of widths 16, 32, 64 on 32², 16², 8² cells."""
    return Architecture("basic", (pairs,) * 3, shortcut, (16, 32, 64), "cifar", CIFAR10_STATS)


BACKBONES: dict[str, Architecture] = {
    "resnet18": Architecture("basic", (2, 2, 2, 2)),
    "resnet34": Architecture("basic", (3, 4, 6, 3)),
    "resnet50": Architecture("bottleneck", (3, 4, 6, 3)),
    "resnet101": Architecture("bottleneck", (3, 4, 23, 3)),
    "resnet152": Architecture("bottleneck", (3, 8, 36, 3)),
    "plain18": Architecture("basic", (2, 2, 2, 2), "plain"),
    "plain34": Architecture("basic", (3, 4, 6, 3), "plain"),
    **{f"cifar10_resnet{6 * n + 2}": cifar(n, "A") for n in (3, 5, 7, 9, 18, 200)},
    **{f"cifar10_plain{6 * n + 2}": cifar(n, "plain") for n in (3, 5, 7, 9, 18, 200)},
}
