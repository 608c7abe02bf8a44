"""What each name stands for: table 1 of the paper, section 4.2, and VGG-16, which tables 7 and 8 compare with, as data.

To add a ResNet or a VGG net, add a line at the foot. An architecture says of itself, whatever its family: network
(module:name, the subclass of network.Network that is built from it), stages (names of its maps), normed_stages (those
with norms), split (what layout C4 shares, and what it runs on each region), crop and classes (of the images it is
usually trained on).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from detres.backbones.pixels import CIFAR10_STATS
from detres.structures import IMAGENET_STATS, PixelStats

Shortcut = Literal["A", "B", "C", "plain"]
"""Identity padded with zeros, projection where the shape changes, projection everywhere, none at all."""
ShortcutPadding = Literal["end", "both"]
"""Where option A puts its zeros: behind the input's channels, or half of them on either side."""
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
    split: tuple[str, str] = ("c4", "c5")
    network: str = "detres.backbones.resnet:ResNet"

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(f"c{level}" for level in range(1, len(self.depths) + 2))

    @property
    def normed_stages(self) -> tuple[str, ...]:
        return self.stages

    @property
    def crop(self) -> int:
        return 224 if self.stem == "imagenet" else 32

    @property
    def classes(self) -> int:
        return 1000 if self.stem == "imagenet" else 10


@dataclass(frozen=True)
class VggArchitecture:
    """A VGG net: stages of 3×3 convolutions, halved by max pools, then fc6 and fc7 on 7×7 cells.

    depths: convolutions a stage. widths: their channels. fc_channels: of fc6 and fc7. dropout: behind both.
    Source: Simonyan and Zisserman 2014, table 1: the default is its net D, VGG-16.
    """

    depths: tuple[int, ...] = (2, 2, 3, 3, 3)
    widths: tuple[int, ...] = (64, 128, 256, 512, 512)
    fc_channels: int = 4096
    dropout: float = 0.5
    batch_norm: bool = False
    pixel_stats: PixelStats = IMAGENET_STATS
    split: tuple[str, str] = ("c5", "fc7")
    crop: int = 224
    classes: int = 1000
    network: str = "detres.backbones.vgg:Vgg"

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(f"c{level}" for level in range(1, len(self.depths) + 1))

    @property
    def normed_stages(self) -> tuple[str, ...]:
        return self.stages if self.batch_norm else ()


def cifar(pairs: int, shortcut: Shortcut) -> Architecture:
    """The CIFAR net of 6 pairs + 2 layers (section 4.2): three stages of widths 16, 32, 64 on 32², 16², 8² cells."""
    return Architecture("basic", (pairs,) * 3, shortcut, (16, 32, 64), "cifar", CIFAR10_STATS)


BACKBONES: dict[str, Architecture | VggArchitecture] = {
    "resnet18": Architecture("basic", (2, 2, 2, 2)),
    "resnet34": Architecture("basic", (3, 4, 6, 3)),
    "resnet50": Architecture("bottleneck", (3, 4, 6, 3)),
    "resnet101": Architecture("bottleneck", (3, 4, 23, 3)),
    "resnet152": Architecture("bottleneck", (3, 8, 36, 3)),
    "plain18": Architecture("basic", (2, 2, 2, 2), "plain"),
    "plain34": Architecture("basic", (3, 4, 6, 3), "plain"),
    "vgg16": VggArchitecture(),
    "vgg16_bn": VggArchitecture(batch_norm=True),
    **{f"cifar10_resnet{6 * n + 2}": cifar(n, "A") for n in (3, 5, 7, 9, 18, 200)},
    **{f"cifar10_plain{6 * n + 2}": cifar(n, "plain") for n in (3, 5, 7, 9, 18, 200)},
}
