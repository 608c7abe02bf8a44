"""Image classification: a residual network whose loss is the cross-entropy of its logits.

N images, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from detres.backbones.architectures import BACKBONES, Shortcut, StrideIn
from detres.backbones.building import Choices, build_resnet
from detres.backbones.norms import Norm
from detres.backbones.resnet import ResNet
from detres.errors import ConfigError
from detres.structures import ClassificationBatch


class Classifier(ResNet):
    """A ResNet with fc. It is the network, not a wrapper of it, so its state dict has torchvision's names."""

    def forward(self, batch: ClassificationBatch) -> dict[str, Tensor]:
        """{"loss": mean cross-entropy over the batch}."""
        return {"loss": F.cross_entropy(self.predict(batch.images), batch.labels)}

    def predict(self, images: Tensor) -> Tensor:
        """Class scores before the softmax, (N, K).

        images: uint8 RGB (N, H, W, 3), or what normalize made of them, (N, 3, H, W).
        """
        return self.logits(images if images.is_floating_point() else self.normalize(images))


def build_classifier(
    name: str,
    *,
    num_classes: int,
    weights: str | Path | None = None,
    shortcut: Shortcut | None = None,
    stride_in: StrideIn | None = None,
    output_stride: Literal[8, 16, 32] = 32,
    norm: Norm | Mapping[str, Norm] | None = "batch",
    norm_eps: float | None = None,
    frozen_stages: int = 0,
    zero_init_last: bool = False,
    allow_mismatch: bool = False,
) -> Classifier:
    """A classifier on one of list_backbones(); build_backbone explains the arguments.

    Unlike a detector's, its norms are trained wherever its weights are from. fc is loaded where the classes of the
    weights are as many. Raises ConfigError and WeightsError as build_backbone does.
    """
    if name not in BACKBONES:
        raise ConfigError(f"classifier {name!r} is none of {', '.join(BACKBONES)}")
    if num_classes < 1:
        raise ConfigError(f"classifier {name}: num_classes is {num_classes}; it takes at least one class")
    choices = Choices(
        weights=weights,
        shortcut=shortcut,
        stride_in=stride_in,
        output_stride=output_stride,
        norm=norm,
        norm_eps=norm_eps,
        frozen_stages=frozen_stages,
        zero_init_last=zero_init_last,
        allow_mismatch=allow_mismatch,
    )
    return build_resnet(Classifier, name, choices, num_classes=num_classes)
