"""detres's networks for torch.hub, from a clone without a network as well:

    torch.hub.load("/path/to/clone", "resnet50", source="local", weights="runs/imagenet_r50")
    torch.hub.load("/path/to/clone", "build_classifier", "resnet50", num_classes=10, source="local")

Every name of list_backbones() is an entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from detres.backbones import build_backbone, list_backbones
from detres.classification.classifier import build_classifier

if TYPE_CHECKING:  # torch.hub.list takes whatever can be called for an entry
    from collections.abc import Callable

    from torch import nn

__all__ = ["build_backbone", "build_classifier", "list_backbones", *list_backbones()]

dependencies = ["torch", "torchvision", "safetensors", "numpy", "pydantic"]


def _entry(name: str) -> Callable[..., nn.Module]:
    def build(weights: str | None = None, **choices: object) -> nn.Module:
        return build_backbone(name, weights=weights, **choices)

    build.__name__ = build.__qualname__ = name
    build.__doc__ = f"{name}: build_backbone({name!r}, weights=..., ...), which explains its arguments."
    return build


globals().update({name: _entry(name) for name in list_backbones()})
