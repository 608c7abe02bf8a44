"""The feature pyramid network: a top-down path that gives every level strong features.

Source: Lin et al. 2017, section 3; p6 is p5 subsampled (section 4.1, footnote).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from detres.detection.model.box_heads import conv_block
from detres.structures import FeatureSpec


class FPN(nn.Module):
    """c2..c5 -> p2..p6, all with `channels` channels.

    specs: of the inputs by name, finest first. norm: "none", "batch" or "group", behind each convolution.
    """

    def __init__(self, specs: Mapping[str, FeatureSpec], channels: int, *, norm: str) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(
            conv_block(spec.channels, channels, norm=norm, kernel=1) for spec in specs.values()
        )
        self.output = nn.ModuleList(conv_block(channels, channels, norm=norm) for _ in specs)
        self.names = tuple(specs)
        strides = [spec.stride for spec in specs.values()]
        self.specs = tuple(FeatureSpec(channels, stride) for stride in (*strides, strides[-1] * 2))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=1)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        """One map (N, C, H, W) a name; returns one more than it takes, all (N, channels, H, W)."""
        top_down = self.lateral[-1](features[self.names[-1]])
        pyramid = [self.output[-1](top_down)]
        for level in range(len(self.names) - 2, -1, -1):
            lateral = self.lateral[level](features[self.names[level]])
            # In place: on the finest level the maps are the largest of the whole network.
            top_down = lateral.add_(F.interpolate(top_down, size=lateral.shape[-2:], mode="nearest"))
            pyramid.insert(0, self.output[level](top_down))
        pyramid.append(F.max_pool2d(pyramid[-1], kernel_size=1, stride=2))
        return pyramid
