"""From a trunk and a config's model section to a localizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from detres.backbones.architectures import BACKBONES, Architecture
from detres.backbones.building import Choices, build_network
from detres.backbones.resnet import ResNet
from detres.config.localization_schema import LocalizerConfig
from detres.detection.model.anchors import AnchorGrid
from detres.detection.model.losses import BoxLoss, ObjectnessLoss
from detres.errors import ConfigError
from detres.localization.class_rpn import ClassRPN
from detres.localization.localizers import ClassRpnLocalizer, Localizer, RcnnLocalizer


def build_trunk(name: str, choices: Choices) -> ResNet:
    """One of detres's own networks up to conv5. Raises ConfigError for any other."""
    known = [own for own, net in BACKBONES.items() if isinstance(net, Architecture) and "c5" in net.stages]
    if name not in known:
        raise ConfigError(f"model.backbone.name={name}: a localizer's trunk is one of {', '.join(known)}")
    trunk = build_network(name, choices)
    assert isinstance(trunk, ResNet)
    return trunk


def assemble(trunk: ResNet, config: LocalizerConfig, class_names: Sequence[str]) -> Localizer:
    """The localizer of the config's stage on this trunk; its own layers are drawn from torch's generator."""
    if config.stage == "rcnn":
        weights = config.rcnn.codec_weights
        return RcnnLocalizer(trunk, class_names, codec_weights=weights, **_losses(config))
    spec, options = trunk.specs["c5"], config.rpn.model_dump(exclude={"objectness_loss", "box_loss"})
    grid = AnchorGrid([config.anchors.sizes], [spec.stride], ratios=config.anchors.ratios)
    rpn = ClassRPN(spec.channels, grid.per_cell, len(class_names), **options, **_losses(config))
    return ClassRpnLocalizer(trunk, class_names, grid=grid, rpn=rpn)


def learn_by(model: Localizer, config: LocalizerConfig) -> None:
    """As of detection/model/building.py."""
    part = model.rpn if isinstance(model, ClassRpnLocalizer) else model
    for name, loss in _losses(config).items():
        setattr(part, name, loss)


def _losses(config: LocalizerConfig) -> dict[str, Any]:
    """The arguments of the stage's network that are losses."""
    if config.stage == "rcnn":
        return {"box_loss": BoxLoss(**config.rcnn.box_loss.model_dump(), where="model.rcnn.box_loss")}
    return {
        "objectness_loss": ObjectnessLoss(**config.rpn.objectness_loss.model_dump(), where="model.rpn.objectness_loss"),
        "box_loss": BoxLoss(**config.rpn.box_loss.model_dump(), where="model.rpn.box_loss"),
    }
