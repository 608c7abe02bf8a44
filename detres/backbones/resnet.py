"""ResNet, and the plain nets it was compared with, on one page.

A network is a stem and a few stages; a stage is a stack of blocks; a block adds something to a stack of two or three
convolutions. What it adds is the paper's subject, and here a choice: *the shortcut*. Identities padded with zeros (A),
projections where the shape changes (B), projections everywhere (C), or nothing at all (plain).

Public names are the paper's, c1..c5: c1 is conv1's output, before the pool, and c2..c5 are those of conv2_x..conv5_x.
Parameters carry torchvision's names (conv1, layer1.0.conv1, downsample.0, fc), so that its state dicts, and timm's,
load strictly: c2 is layer1's output.

N images, H×W pixels, R regions. Source: He et al. 2015, "Deep Residual Learning for Image Recognition".
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.ops import stochastic_depth

from detres.backbones.architectures import Architecture, Pool, Shortcut, ShortcutPadding, StrideIn
from detres.backbones.network import Network, NetworkBackbone
from detres.backbones.norms import Norm, conv_norm, freeze_norms, frozen, make_norm
from detres.backbones.stages import Stage
from detres.backbones.stem_pool import pool_stem
from detres.structures import FeatureSpec, PixelStats

Dilation = tuple[int, int]
"""Distance between neighbouring cells, before and after a stride."""


@dataclass(frozen=True)
class BlockOptions:
    """What all blocks of a stage share.

    padding: of option A's zeros. stride_in: which convolution of a bottleneck strides. norm: channels -> layer.
    project: (channels, out_channels, stride, norm) -> the shortcut of options B and C.
    """

    shortcut: Shortcut
    padding: ShortcutPadding
    stride_in: StrideIn
    norm: Callable[[int], nn.Module]
    project: Callable[[int, int, int, Callable[[int], nn.Module]], nn.Module]


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False)


def conv1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)


# The shortcut


class PaddedIdentity(nn.Module):
    """Option A: every stride-th cell, with zeros for the channels the input lacks. It has no parameters."""

    def __init__(self, stride: int, extra_channels: int, padding: ShortcutPadding = "end") -> None:
        super().__init__()
        self.stride = stride
        self.before = extra_channels // 2 if padding == "both" else 0
        self.behind = extra_channels - self.before

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.behind))


class Projection(nn.Sequential):
    """Options B and C: a 1×1 convolution and its norm, under torchvision's names 0 and 1."""

    def forward(self, x: Tensor) -> Tensor:
        conv, norm = self
        return conv_norm(x, cast(nn.Conv2d, conv), norm)  # A Sequential's children are plain modules to checkers.


def project(channels: int, out_channels: int, stride: int, norm: Callable[[int], nn.Module]) -> nn.Module:
    return Projection(conv1x1(channels, out_channels, stride), norm(out_channels))


def make_shortcut(channels: int, out_channels: int, stride: int, options: BlockOptions) -> nn.Module | None:
    """What a block adds to its residual; None: nothing, as in a plain net."""
    same_shape = stride == 1 and channels == out_channels
    if options.shortcut == "plain":
        return None
    if options.shortcut != "C" and same_shape:
        return nn.Identity()
    if options.shortcut == "A":
        return PaddedIdentity(stride, out_channels - channels, options.padding)
    return options.project(channels, out_channels, stride, options.norm)


# The blocks


class Block(nn.Module, ABC):
    """relu(residual(x) + shortcut(x)).

    stride: of the whole block. dilation: of the cells before and after the stride. They differ in the first block of a
    stage that dilates instead of striding: a 3×3 that stands before the stride (or is it) still reads the old grid, one
    that stands behind it reads the thinned grid, whose neighbours now lie `dilation` cells apart.
    drop_path: chance that an image goes by the shortcut alone in training (Huang et al. 2016).
    """

    expansion: int
    last_norm: str
    downsample: nn.Module | None
    drop_path: float = 0.0

    @abstractmethod
    def residual(self, x: Tensor) -> Tensor:
        """What is added to the shortcut, before the activation: of the shape of the block's result."""

    def forward(self, x: Tensor) -> Tensor:
        out = stochastic_depth(self.residual(x), self.drop_path, "row", self.training)
        if self.downsample is not None:
            out += self.downsample(x)
        return out.relu_()


class BasicBlock(Block):
    """3×3, 3×3."""

    expansion, last_norm = 1, "bn2"

    def __init__(self, channels: int, width: int, *, stride: int, dilation: Dilation, options: BlockOptions) -> None:
        super().__init__()
        before, after = dilation
        self.conv1 = conv3x3(channels, width, stride, before)
        self.bn1 = options.norm(width)
        self.conv2 = conv3x3(width, width, 1, after)
        self.bn2 = options.norm(width)
        self.downsample = make_shortcut(channels, width, stride, options)

    def residual(self, x: Tensor) -> Tensor:
        out = conv_norm(x, self.conv1, self.bn1).relu_()
        return conv_norm(out, self.conv2, self.bn2)


class Bottleneck(Block):
    """1×1 to `width` channels, 3×3, 1×1 to four times as many; the stride lies in the first (the paper) or second."""

    expansion, last_norm = 4, "bn3"

    def __init__(self, channels: int, width: int, *, stride: int, dilation: Dilation, options: BlockOptions) -> None:
        super().__init__()
        out_channels = width * self.expansion
        strides = (stride, 1) if options.stride_in == "1x1" else (1, stride)
        before, after = dilation
        self.conv1 = conv1x1(channels, width, strides[0])
        self.bn1 = options.norm(width)
        self.conv2 = conv3x3(width, width, strides[1], after if options.stride_in == "1x1" else before)
        self.bn2 = options.norm(width)
        self.conv3 = conv1x1(width, out_channels)
        self.bn3 = options.norm(out_channels)
        self.downsample = make_shortcut(channels, out_channels, stride, options)

    def residual(self, x: Tensor) -> Tensor:
        out = conv_norm(x, self.conv1, self.bn1).relu_()
        out = conv_norm(out, self.conv2, self.bn2).relu_()
        return conv_norm(out, self.conv3, self.bn3)


# The network


BLOCKS: dict[str, type[Block]] = {"basic": BasicBlock, "bottleneck": Bottleneck}


class ResNetLayers(Network):
    """A residual or plain network, whatever it is used for.

    outputs: names of the maps that `maps` returns; None: every stage. output_stride: stages whose stride would exceed
    it dilate instead. norm: one kind for all stages, or one a stage by name (c1..c5). zero_init_last: start the last
    norm of every block at zero, so that the block starts as its shortcut (Goyal et al. 2017). drop_path: of the last
    block; from 0 at the first it grows evenly. checkpoint_blocks: compute blocks anew in the backward pass instead of
    keeping their maps. pool: "torch" pads the 3×3/2 max pool by one cell; "caffe", with which the published weights
    were trained, does not and rounds sizes up. shortcut_padding: where shortcuts A have their zeros.
    num_classes: of fc; None: no fc.
    A variant is a subclass: what builds its projections is `project`, and its stem `build_stem`, run by `stem`.
    Raises ValueError where the arguments contradict each other.
    """

    architecture: Architecture
    bn1: nn.Module
    project = staticmethod(project)
    class_layer = "fc"
    anchors = ("conv1.weight", "layer1.0.conv1.weight")

    def __init__(
        self,
        architecture: Architecture,
        name: str = "resnet",
        *,
        outputs: Sequence[str] | None = None,
        shortcut: Shortcut | None = None,
        shortcut_padding: ShortcutPadding = "end",
        stride_in: StrideIn = "3x3",
        output_stride: Literal[8, 16, 32] = 32,
        norm: Norm | Mapping[str, Norm] = "batch",
        norm_eps: float = 1e-5,
        zero_init_last: bool = False,
        drop_path: float = 0.0,
        checkpoint_blocks: bool = False,
        pool: Pool = "torch",
        pixel_stats: PixelStats | None = None,
        num_classes: int | None = None,
    ) -> None:
        super().__init__(architecture, name, norm=norm, norm_eps=norm_eps, pixel_stats=pixel_stats)
        self.shortcut: Shortcut = shortcut or architecture.shortcut
        self.shortcut_padding, self.stride_in, self.pool = shortcut_padding, stride_in, pool
        if self.shortcut == "plain" and (zero_init_last or drop_path):
            raise ValueError("a plain net whose residuals are zero or left out outputs zero, and learns nothing")
        if zero_init_last and "frozen" in (self.norms[stage] for stage in self.stages[1:]):
            raise ValueError("frozen norms cannot learn away from zero; take zero_init_last=false or another norm")

        self.build_stem()
        self._build_stages(output_stride, checkpoint_blocks)
        self.outputs = self.checked_outputs(outputs or self.stages[1:])
        if num_classes is not None:
            self.fc = nn.Linear(self._stage_specs[self.stages[-1]].channels, num_classes)
        self._initialize(zero_init_last)
        blocks = [module for module in self.modules() if isinstance(module, Block)]
        for place, block in enumerate(blocks):
            block.drop_path = drop_path * place / max(len(blocks) - 1, 1)

    # What it computes

    def logits(self, images: Tensor) -> Tensor:
        """Class scores before the softmax, (N, num_classes): fc of the last map's mean over its cells."""
        return self.fc(self.last_map(images).mean(dim=(2, 3)))

    def placed_logits(self, cells: Tensor, window: tuple[int, int]) -> Tensor:
        """fc of the mean over every placement of the window, (N, P, num_classes)."""
        return self.fc(F.avg_pool2d(cells, window, stride=1).flatten(2).transpose(1, 2))

    def run(self, stage: str, x: Tensor) -> Tensor:
        if stage == "c1":
            return self.stem(x)
        if stage == "c2" and self.architecture.stem == "imagenet":
            x = pool_stem(x, self.pool)
        return self.stage(stage)(x)

    def stem(self, images: Tensor) -> Tensor:
        """c1, from the images."""
        return conv_norm(images, self.conv1, self.bn1).relu_()

    # Its parts

    def stage(self, name: str) -> Stage:
        """The blocks that end in c2..c5."""
        return getattr(self, _layer(name))

    def stage_of(self, name: str) -> str:
        """conv1.weight -> c1, layer3.0.bn1.bias -> c4, fc.bias -> fc."""
        top = name.split(".")[0]
        if top.startswith("layer"):
            return f"c{int(top.removeprefix('layer')) + 1}"
        return "fc" if top == "fc" else "c1"

    def modules_of(self, stage: str) -> tuple[nn.Module, ...]:
        return (self.conv1, self.bn1) if stage == "c1" else (self.stage(stage),)

    @property
    def form(self) -> dict[str, Any]:
        padding = self.shortcut_padding if self.shortcut == "A" else None
        own = {"stride_in": self.stride_in, "pool": self.pool, "shortcut": self.shortcut}
        return own | {"shortcut_padding": padding}

    def take_stage(self, name: str) -> Stage:
        """Take the last stage out of the backbone, to be applied elsewhere: C4 runs c5 on each region.

        The backbone then ends one stage earlier, and has no fc. Raises ValueError where no output would remain, and
        for any stage but the last.
        """
        self.outputs = self.outputs_without(name)
        stage = self.stage(name)
        delattr(self, _layer(name))
        if hasattr(self, "fc"):
            del self.fc
        del self._stage_specs[name], self.norms[name]
        self.stages = self.stages[:-1]
        return stage

    def freeze_norms_of(self, stage: str) -> None:
        if stage == "c1":
            freeze_norms(self.conv1)
            self.bn1 = frozen(self.bn1)
        else:
            freeze_norms(self.stage(stage))

    # How it is built

    def build_stem(self) -> None:
        """conv1, bn1 and the spec of c1."""
        width = self.architecture.widths[0]
        if self.architecture.stem == "imagenet":
            self.conv1 = nn.Conv2d(3, width, 7, 2, padding=3, bias=False)
        else:
            self.conv1 = conv3x3(3, width)
        self.bn1 = make_norm(self.norms["c1"], width, self.norm_eps)
        self._stage_specs["c1"] = FeatureSpec(width, self.conv1.stride[0])

    def _build_stages(self, output_stride: int, recomputes: bool) -> None:
        """Every stage but the first halves its map or, once the map is coarse enough, dilates instead."""
        net, channels = self.architecture, self.architecture.widths[0]
        block = BLOCKS[net.block]
        grid, dilation = (4 if net.stem == "imagenet" else 1), 1
        for name, depth, width in zip(self.stages[1:], net.depths, net.widths, strict=True):
            stride, before = (1 if name == "c2" else 2), dilation
            if grid * stride > output_stride:
                stride, dilation = 1, dilation * 2
            norm = partial(make_norm, self.norms[name], eps=self.norm_eps)
            options = BlockOptions(self.shortcut, self.shortcut_padding, self.stride_in, norm, self.project)
            first = block(channels, width, stride=stride, dilation=(before, dilation), options=options)
            grid, channels = grid * stride, width * block.expansion
            same = {"stride": 1, "dilation": (dilation, dilation), "options": options}
            stage = Stage(first, *(block(channels, width, **same) for _ in range(depth - 1)))
            stage.recomputes = recomputes
            stage.spec = self._stage_specs[name] = FeatureSpec(channels, grid)
            setattr(self, _layer(name), stage)

    def _initialize(self, zero_init_last: bool) -> None:
        """He initialization: a rectified layer passes on the variance it gets (He et al. 2015b, equation 14)."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if zero_init_last and isinstance(module, Block):
                nn.init.zeros_(module.get_parameter(f"{module.last_norm}.weight"))


class ResNet(NetworkBackbone, ResNetLayers):
    """A residual or plain network as a backbone: normalized images (N, 3, H, W) -> feature maps by name."""


def _layer(stage: str) -> str:
    """torchvision's name of c2..c5: layer1..layer4."""
    return f"layer{int(stage[1:]) - 1}"
