"""Three ways to hang Faster R-CNN on a backbone, side by side.

                    RPN reads       RoIs read             on each RoI
    C4   (He 2015)  c4, stride 16   c4, 14×14 bins        conv5, then the mean
         with VGG   c5, stride 16   c5, 7×7 bins          its own fc6 and fc7
    DC5  (Dai 2017) c5, stride 16   c5, 7×7 bins          two fully connected layers
    FPN  (Lin 2017) p2..p6          p2..p5, 7×7 bins      two fully connected layers

C4 is the paper's: conv1..conv4 are shared, and conv5 with its stride of 2 belongs to the RoI head. DC5 dilates conv5
instead of striding (Dai et al. 2017, deformable convolutional networks, section 4.1; the "dilated C5" of detectron2).
VGG-16 splits as C4 does: what was trained behind conv5_3, fc6 and fc7, runs on each region (Girshick 2015; Ren 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from detres.backbones.architectures import BACKBONES
from detres.backbones.network import Backbone
from detres.backbones.vgg import BINS, FullyConnected
from detres.detection.model.box_heads import FcHead, RegionHead, StageHead
from detres.detection.model.fpn import FPN
from detres.errors import ConfigError
from detres.structures import FeatureSpec


@dataclass(frozen=True)
class Layout:
    """The parts of a detector that depend on where its features come from.

    backbone: images -> maps by name. neck: maps by name -> the pyramid the RPN reads, finest first.
    specs: of the pyramid. roi_levels: the first so many of them are pooled from. pool: bins a side.
    head: pooled features -> (R, head.out_channels).
    """

    backbone: Backbone
    neck: nn.Module
    head: RegionHead
    specs: tuple[FeatureSpec, ...]
    roi_levels: int
    pool: int


@dataclass(frozen=True)
class HeadOptions:
    """Arguments of FcHead; C4's head is the backbone's own."""

    convs: int
    conv_channels: int
    fcs: int
    fc_channels: int
    norm: str

    def build(self, channels: int, pool: int) -> FcHead:
        return FcHead(
            channels,
            pool,
            convs=self.convs,
            conv_channels=self.conv_channels,
            fcs=self.fcs,
            fc_channels=self.fc_channels,
            norm=self.norm,
        )


class SingleLevel(nn.Module):
    """The neck of a detector without one: a single map of the backbone."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, features: Mapping[str, Tensor]) -> list[Tensor]:
        return [features[self.name]]


def c4(backbone: Backbone, *, head: HeadOptions, pool: int | None, fpn_channels: int, fpn_norm: str) -> Layout:
    take_stage = getattr(backbone, "take_stage", None)
    if take_stage is None:
        raise ConfigError(
            f"model.layout=c4 takes conv5 of a ResNet to each RoI; {type(backbone).__name__} has no such stage. "
            "Use model.layout=fpn with this backbone"
        )
    shared, own = outputs_of("c4", getattr(backbone, "name", ""))
    specs = dict(backbone.specs)
    stage, neck, spec = take_stage(own), SingleLevel(shared), specs[shared]
    if not isinstance(stage, FullyConnected):
        return Layout(backbone, neck, StageHead(stage, specs[own].channels), (spec,), 1, pool or 14)
    if pool not in (None, BINS):
        raise ConfigError(f"model.roi.pool={pool}: fc6 of {backbone.name} reads {BINS}x{BINS} bins; leave it out")
    return Layout(backbone, neck, stage, (spec,), 1, BINS)


def dc5(backbone: Backbone, *, head: HeadOptions, pool: int | None, fpn_channels: int, fpn_norm: str) -> Layout:
    spec, pool = backbone.specs["c5"], pool or 7
    return Layout(backbone, SingleLevel("c5"), head.build(spec.channels, pool), (spec,), 1, pool)


def fpn(backbone: Backbone, *, head: HeadOptions, pool: int | None, fpn_channels: int, fpn_norm: str) -> Layout:
    specs = {name: backbone.specs[name] for name in ("c2", "c3", "c4", "c5")}
    strides = [spec.stride for spec in specs.values()]
    if strides != [4, 8, 16, 32]:
        raise ConfigError(
            f"model.layout=fpn takes c2..c5 of strides 4, 8, 16, 32, and this backbone's are {strides}; use another, "
            "such as timm/vgg16 for vgg16, or model.layout=c4"
        )
    neck, pool = FPN(specs, fpn_channels, norm=fpn_norm), pool or 7
    return Layout(backbone, neck, head.build(fpn_channels, pool), neck.specs, len(specs), pool)


OUTPUTS: Mapping[str, tuple[str, ...]] = {"c4": ("c4", "c5"), "dc5": ("c5",), "fpn": ("c2", "c3", "c4", "c5")}
"""Of a ResNet, and of whatever takes its place."""


def outputs_of(layout: str, backbone: str) -> tuple[str, ...]:
    """What a layout asks of a backbone, by its name, to be built with; of C4, what is shared and what RoIs run."""
    return BACKBONES[backbone].split if layout == "c4" and backbone in BACKBONES else OUTPUTS[layout]
