"""Image classification: a network, and the form in which it is shown images and judged in training.

N images, K classes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from detres.backbones.architectures import BACKBONES, Shortcut, ShortcutPadding, StrideIn
from detres.backbones.building import Choices, build_network
from detres.backbones.network import Network, NetworkBackbone
from detres.backbones.norms import Norm
from detres.backbones.resnet import ResNet, ResNetLayers
from detres.backbones.vgg import Vgg, VggLayers
from detres.classification.losses import top1_error
from detres.errors import ConfigError
from detres.structures import ClassificationBatch


@dataclass(frozen=True)
class Lessons:
    """What training does to a batch, on the device, and how it judges the answer.

    loss: of logits (N, K) and labels (N,) or shares of classes (N, K) (losses.build_loss).
    colours: of RGB on the 0..255 scale (N, H, W, 3) and sample_keys (N,), gives the same shape.
    mixing: of normalized images (N, 3, H, W), labels (N,) and the batch's key, gives images and shares (mixing.Mixing).
    """

    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    colours: Callable[[Tensor, Tensor], Tensor] | None = None
    mixing: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]] | None = None


class Classifier(Network):
    """A network that tells classes apart. It is the network, not a wrapper of it, so it has torchvision's names.

    lessons: colours and mixing are those of training mode only; whoever trains sets them. memory_format: of the
    normalized images, and so of every map.
    """

    lessons = Lessons()
    memory_format = torch.channels_last

    def forward(self, batch: ClassificationBatch) -> dict[str, Tensor]:
        """{"loss": the lessons' loss over the batch, "top1_error": the share of images whose best class is wrong}.

        Of a mixed image, the right class is the one with the larger share.
        """
        images, targets = self._presented(batch) if self.training else (batch.images, batch.labels)
        logits = self.predict(images)
        return {"loss": self.lessons.loss(logits, targets), "top1_error": top1_error(logits, targets)}

    def _presented(self, batch: ClassificationBatch) -> tuple[Tensor, Tensor]:
        """Normalized images, and labels or shares of classes, as training shows them."""
        rgb, lessons = batch.images, self.lessons
        if lessons.colours is not None:
            assert batch.sample_keys is not None, "whoever sets lessons draws keys"
            rgb = lessons.colours(rgb, batch.sample_keys)
        images = self.normalize(rgb)
        if lessons.mixing is None:
            return images, batch.labels
        assert batch.key is not None, "whoever sets lessons draws keys"
        return lessons.mixing(images, batch.labels, batch.key)

    def normalize(self, rgb: Tensor) -> Tensor:
        """uint8 RGB (N, H, W, 3) -> what predict takes, (N, 3, H, W) in pixel_stats.order and memory_format."""
        return super().normalize(rgb).contiguous(memory_format=self.memory_format)

    def predict(self, images: Tensor) -> Tensor:
        """Class scores before the softmax, (N, K).

        images: uint8 RGB (N, H, W, 3), or what normalize made of them, (N, 3, H, W).
        """
        return self.logits(images if images.is_floating_point() else self.normalize(images))


class ResNetClassifier(Classifier, ResNetLayers):
    """A ResNet with fc."""


class VggClassifier(Classifier, VggLayers):
    """A VGG net with its three fully connected layers."""


_NAMED: Mapping[type[Network], type[Classifier]] = {ResNet: ResNetClassifier, Vgg: VggClassifier}
"""Classes that stand in this file can be pickled."""


@functools.cache
def classifier_of(network: type[NetworkBackbone]) -> type[Classifier]:
    """The subclass of a network's class, and of Classifier, that has nothing of its own."""
    return _NAMED.get(network) or type(f"{network.__name__}Classifier", (Classifier, network), {})


def build_classifier(
    name: str,
    *,
    num_classes: int,
    weights: str | Path | None = None,
    shortcut: Shortcut | None = None,
    shortcut_padding: ShortcutPadding | None = None,
    stride_in: StrideIn | None = None,
    output_stride: Literal[8, 16, 32] = 32,
    norm: Norm | Mapping[str, Norm] | None = "batch",
    norm_eps: float | None = None,
    frozen_stages: int = 0,
    zero_init_last: bool = False,
    drop_path: float = 0.0,
    checkpoint_blocks: bool = False,
    allow_mismatch: bool = False,
) -> Classifier:
    """A classifier on one of list_backbones(); build_backbone and ResNet explain the arguments.

    Unlike a detector's, its norms are trained wherever its weights are from; norm="batch" is every net's that has any.
    The last layer is loaded where the classes of the weights are as many. Raises ConfigError and WeightsError as
    build_backbone does.
    """
    if name not in BACKBONES:
        raise ConfigError(f"classifier {name!r} is none of {', '.join(BACKBONES)}")
    if num_classes < 1:
        raise ConfigError(f"classifier {name}: num_classes is {num_classes}; it takes at least one class")
    if norm == "batch" and not BACKBONES[name].normed_stages:
        norm = None
    choices = Choices(
        weights=weights,
        shortcut=shortcut,
        shortcut_padding=shortcut_padding,
        stride_in=stride_in,
        output_stride=output_stride,
        norm=norm,
        norm_eps=norm_eps,
        frozen_stages=frozen_stages,
        zero_init_last=zero_init_last,
        drop_path=drop_path,
        checkpoint_blocks=checkpoint_blocks,
        allow_mismatch=allow_mismatch,
    )
    return build_network(name, choices, num_classes=num_classes, kind=classifier_of)
