"""Losses over sampled boxes, shared by the RPN and the RoI heads.

Their signatures are in named_losses.py, their names in tables.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from detres.boxes import CodecWeights, box_area, decode_boxes, encode_boxes
from detres.detection.model.named_losses import Loss, find_box_loss, find_objectness_loss
from detres.distributed import sum_over_ranks, world_size
from detres.lookup import heeds
from detres.tables import BOX_LOSSES

Normalizer = Literal["constant", "samples"]

# Added to areas that are divided by.
_NO_AREA = 1e-7


@dataclass(frozen=True)
class BoxLoss:
    """How predicted offsets are held against the boxes they should reach.

    name: of a box loss (named_losses.py). beta: where smooth L1 turns linear; 0 is plain L1. weight: factor of the sum.
    options: the loss's own parameters. where: the loss's key in a config, for messages.
    Raises ConfigError where there is no such loss, or it takes no such options.
    """

    name: str = "smooth_l1"
    beta: float = 0.0
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    where: str = "box_loss"
    _loss: Loss = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        takes_beta = self.name in BOX_LOSSES and heeds(BOX_LOSSES[self.name], "beta")
        options = {"beta": self.beta, **self.options} if takes_beta else self.options
        object.__setattr__(self, "_loss", find_box_loss(self.name, options, self.where))

    def __call__(self, deltas: Tensor, references: Tensor, boxes: Tensor, codec_weights: CodecWeights) -> Tensor:
        """Sum over P boxes: deltas, references (anchors or proposals) and boxes are all (P, 4). 0 where P is 0."""
        return self.weight * self._loss(deltas, references, boxes, codec_weights)


def smooth_l1(
    deltas: Tensor, references: Tensor, boxes: Tensor, codec_weights: CodecWeights, *, beta: float = 0.0
) -> Tensor:
    """On the offsets; linear from beta on. Source: Girshick 2015, section 2.3."""
    return F.smooth_l1_loss(deltas, encode_boxes(boxes, references, codec_weights), beta=beta, reduction="sum")


def giou(deltas: Tensor, references: Tensor, boxes: Tensor, codec_weights: CodecWeights) -> Tensor:
    """On the decoded boxes. Source: Rezatofighi et al. 2019. torchvision's masks would have the device asked."""
    found = decode_boxes(deltas, references, codec_weights)
    low, high = torch.minimum(found, boxes), torch.maximum(found, boxes)
    inner = box_area(torch.cat([high[:, :2], low[:, 2:]], dim=1))
    hull = box_area(torch.cat([low[:, :2], high[:, 2:]], dim=1))
    union = box_area(found) + box_area(boxes) - inner
    return (1 - inner / (union + _NO_AREA) + (hull - union) / (hull + _NO_AREA)).sum()


@dataclass(frozen=True)
class ObjectnessLoss:
    """How an anchor's logit is held against whether there is an object; as BoxLoss, of the objectness losses."""

    name: str = "cross_entropy"
    weight: float = 1.0
    options: Mapping[str, Any] = field(default_factory=dict)
    where: str = "objectness_loss"
    _loss: Loss = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_loss", find_objectness_loss(self.name, self.options, self.where))

    def __call__(self, logits: Tensor, is_object: Tensor) -> Tensor:
        """Sum over M anchors: logits and is_object (bool) are (M,)."""
        return self.weight * self._loss(logits, is_object.to(logits.dtype))


def binary_cross_entropy(logits: Tensor, is_object: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, is_object, reduction="sum")


def normalizer(kind: Normalizer, *, samples: Tensor, batch_per_image: int, images: int) -> Tensor | float:
    """What the summed losses of a micro-batch are divided by; a step's gradient is the mean over its micro-batches.

    constant: batch_per_image × images, whatever was found, so that accumulated and distributed steps add up exactly.
    samples: the samples there were, over all ranks, as a share of one rank (gradients are averaged over ranks). Each
    micro-batch is divided by its own: all of a step would have to be sampled before the first could be learned from. So
    where images have unequal numbers of samples, an accumulated step is not quite that of the whole batch.
    samples: int64 scalar, samples on this rank.
    """
    if kind == "constant":
        return float(batch_per_image * images)
    return sum_over_ranks(samples).clamp(min=1) / world_size()
