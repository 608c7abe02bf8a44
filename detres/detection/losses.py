"""Losses over sampled boxes, shared by the RPN and the RoI heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import generalized_box_iou_loss

from detres.boxes import CodecWeights, decode_boxes, encode_boxes
from detres.distributed import sum_over_ranks, world_size

Normalizer = Literal["constant", "samples"]


@dataclass(frozen=True)
class BoxLoss:
    """How predicted offsets are held against the boxes they should reach.

    name: smooth_l1 on the offsets, or giou on the decoded boxes. beta: where smooth L1 turns linear; 0 is plain L1.
    weight: factor of the sum.
    """

    name: Literal["smooth_l1", "giou"] = "smooth_l1"
    beta: float = 0.0
    weight: float = 1.0

    def __call__(self, deltas: Tensor, references: Tensor, boxes: Tensor, codec_weights: CodecWeights) -> Tensor:
        """Sum over P boxes: deltas, references (anchors or proposals) and boxes are all (P, 4). 0 where P is 0."""
        if self.name == "giou":
            total = generalized_box_iou_loss(decode_boxes(deltas, references, codec_weights), boxes, reduction="sum")
        else:
            goals = encode_boxes(boxes, references, codec_weights)
            total = F.smooth_l1_loss(deltas, goals, beta=self.beta, reduction="sum")
        return self.weight * total


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
