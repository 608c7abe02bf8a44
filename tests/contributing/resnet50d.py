"""ResNet-D: a ResNet whose stem is three 3×3 convolutions, and whose projections average before they stride.

Parameters carry timm's names (conv1.0, conv1.1, …, downsample.1), so that its state dicts load strictly.
Source: He et al. 2018, "Bag of tricks for image classification with convolutional neural networks", figure 2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from detres.backbones.norms import conv_norm, make_norm
from detres.backbones.resnet import ResNet, conv1x1, conv3x3
from detres.structures import FeatureSpec


class PooledProjection(nn.Sequential):
    """The mean of 2×2 cells where the block strides, then a 1×1 convolution and its norm, under the names 1 and 2."""

    def forward(self, x: Tensor) -> Tensor:
        return conv_norm(self[0](x), self[1], self[2])


def project(channels: int, out_channels: int, stride: int, norm: Callable[[int], nn.Module]) -> PooledProjection:
    # Sides that are odd keep their last cell, as the block's own stride does; what is outside counts for nothing.
    pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if stride > 1 else nn.Identity()
    return PooledProjection(pool, conv1x1(channels, out_channels), norm(out_channels))


class ResNetD(ResNet):
    """A ResNet with the deep stem and the averaging projections; everything else is a ResNet's."""

    anchors = ("conv1.0.weight", "layer1.0.conv1.weight")
    project = staticmethod(project)

    def build_stem(self) -> None:
        width = self.architecture.widths[0]

        def norm(channels: int) -> nn.Module:
            return make_norm(self.norms["c1"], channels, self.norm_eps)

        first, second, third = conv3x3(3, width // 2, 2), conv3x3(width // 2, width // 2), conv3x3(width // 2, width)
        self.conv1 = nn.Sequential(first, norm(width // 2), nn.ReLU(), second, norm(width // 2), nn.ReLU(), third)
        self.bn1 = norm(width)
        self._stage_specs["c1"] = FeatureSpec(width, 2)

    def stem(self, images: Tensor) -> Tensor:
        first, norm1, _, second, norm2, _, third = self.conv1
        x = F.relu(conv_norm(images, first, norm1))
        x = F.relu(conv_norm(x, second, norm2))
        return F.relu(conv_norm(x, third, self.bn1))
