"""What turns the pooled features of an RoI into one vector, before the two sibling layers.

R RoIs, C channels. Every head takes (R, C, pool, pool), gives (R, out_channels), and declares out_channels.
"""

from __future__ import annotations

import itertools
from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from detres.tables import HEAD_NORMS


class RegionHead(Protocol):
    """A module that makes a vector of the pooled features of each RoI: (R, C, pool, pool) -> (R, out_channels)."""

    out_channels: int

    def __call__(self, features: Tensor, /) -> Tensor: ...


def conv_block(channels_in: int, channels_out: int, *, norm: str = "none", kernel: int = 3) -> nn.Sequential:
    """A convolution that keeps the map's size, with a norm behind it unless norm is "none" (then with a bias)."""
    conv = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2, bias=norm == "none")
    return nn.Sequential(conv) if norm == "none" else nn.Sequential(conv, HEAD_NORMS[norm](channels_out))


def group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(32, channels)


class StageHead(nn.Module):
    """The last stage of a ResNet on each RoI, averaged over the map: the paper's own head (C4).

    stage: conv5, (R, C, 14, 14) -> (R, out_channels, 7, 7), already built and loaded with the backbone.
    """

    def __init__(self, stage: nn.Module, out_channels: int) -> None:
        super().__init__()
        self.stage, self.out_channels = stage, out_channels

    def forward(self, features: Tensor) -> Tensor:
        return self.stage(features).mean(dim=(2, 3))


class FcHead(nn.Module):
    """Optional 3×3 convolutions, then fully connected layers: FPN's head, and torchvision v2's.

    Source: Lin et al. 2017, section 4.2 (two layers of 1024); He and Girshick 2018 (four convolutions and one layer).
    """

    def __init__(
        self,
        channels: int,
        pool: int,
        *,
        convs: int,
        conv_channels: int,
        fcs: int,
        fc_channels: int,
        norm: str,
    ) -> None:
        super().__init__()
        widths = [channels] + [conv_channels] * convs
        self.convs = nn.ModuleList(conv_block(a, b, norm=norm) for a, b in itertools.pairwise(widths))
        widths = [widths[-1] * pool * pool] + [fc_channels] * fcs
        self.fcs = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
        self.out_channels = fc_channels
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(layer, nn.Linear):
                nn.init.kaiming_uniform_(layer.weight, a=1)
            if isinstance(layer, nn.Conv2d | nn.Linear) and layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        for conv in self.convs:
            features = F.relu(conv(features))
        features = features.flatten(1)
        for fc in self.fcs:
            features = F.relu(fc(features))
        return features
