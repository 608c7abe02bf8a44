"""The per-class RPN: for every anchor and a class, is there an object of this class, and where does it really lie?

As the RPN (detection/model/rpn.py), but each class has a logistic regression and a box regressor of its own; and only
those of the classes that are asked for are computed. In training that is the image's own class: its logit is learned
from the positive and the negative anchors of its images, and from no others'.

The paper's text names a 1000-d cls layer, whose every dimension is a binary logistic regression, and a 1000×4-d reg
layer, with reference to several anchors at each position: read here as so many outputs for each anchor.
N images, M sampled anchors of all images, S classes asked for of an image, A anchors a cell, T anchors of an image, K
classes. Source: He et al. 2015, appendix C; Ren et al. 2015, section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detres.boxes import CodecWeights, decode_boxes
from detres.detection.model.losses import BoxLoss, ObjectnessLoss
from detres.detection.model.matching import Sample, match_all, sample_all
from detres.detection.model.padded_targets import PaddedTargets, images_at_once
from detres.localization.per_class import PerClassLinear
from detres.structures import DetectionTarget


class Candidates(NamedTuple):
    """scores: (N, S, T) logits. boxes: (N, S, T, 4) xyxy pixels of what was shown, not clipped."""

    scores: Tensor
    boxes: Tensor


class ClassRPN(nn.Module):
    """A 3×3 convolution and two siblings of K × A rows; row k·A + a is class k's of the cell's anchor a."""

    def __init__(
        self,
        in_channels: int,
        anchors_per_cell: int,
        num_classes: int,
        *,
        channels: int = 512,
        positive_iou: float = 0.7,
        negative_iou: float = 0.3,
        batch_per_image: int = 8,
        positive_fraction: float = 0.5,
        codec_weights: CodecWeights = (1.0, 1.0, 1.0, 1.0),
        objectness_loss: ObjectnessLoss | None = None,
        box_loss: BoxLoss | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, channels, 3, padding=1)
        nn.init.normal_(self.conv.weight, std=0.01)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)
        self.logits = PerClassLinear(channels, num_classes * anchors_per_cell, 1)
        self.deltas = PerClassLinear(channels, num_classes * anchors_per_cell, 4)
        self.per_cell, self.codec_weights = anchors_per_cell, codec_weights
        self.positive_iou, self.negative_iou = positive_iou, negative_iou
        self.batch_per_image, self.positive_fraction = batch_per_image, positive_fraction
        self.objectness_loss, self.box_loss = objectness_loss or ObjectnessLoss(), box_loss or BoxLoss()

    def forward(self, cells: Tensor) -> Tensor:
        """What the siblings read: the trunk's map (N, C, H, W) -> (N, channels, H, W)."""
        return self.conv(cells).relu_()

    def sample(self, anchors: Tensor, targets: Sequence[DetectionTarget], sample_keys: Tensor) -> list[Sample]:
        """The anchors each image learns from: N Samples over its T anchors, one positive to one negative at most.

        An image with fewer positives has more negatives instead, as the RPN's have.
        """
        matched = [
            match_all(
                anchors,
                PaddedTargets.of(targets[images]),
                positive_iou=self.positive_iou,
                negative_iou=self.negative_iou,
                keep_best=True,
            )
            for images in images_at_once(targets, len(anchors))
        ]
        return sample_all(
            torch.cat(matched), sample_keys, count=self.batch_per_image, positive_fraction=self.positive_fraction
        )

    def losses(
        self,
        features: Tensor,
        anchors: Tensor,
        labels: Tensor,
        targets: Sequence[DetectionTarget],
        samples: Sequence[Sample],
    ) -> dict[str, Tensor]:
        """loss_rpn_objectness (of each image's own class) and loss_rpn_box over the samples.

        features: what forward returned. anchors: (T, 4). labels: (N,). Both are divided by batch_per_image × N.
        """
        images = torch.cat([torch.full_like(each.index, image) for image, each in enumerate(samples)])
        index = torch.cat([each.index for each in samples])
        places = torch.arange(len(index), device=index.device).split([len(each.index) for each in samples])
        # Places, not a mask: how many there are is known, and a mask would have the device asked.
        positives = torch.cat([each.of_positives(of_image) for each, of_image in zip(samples, places, strict=True)])
        cells, rows = index // self.per_cell, labels[images] * self.per_cell + index % self.per_cell
        read = features.flatten(2)[images, :, cells]  # (M, channels)
        logits, deltas = self.logits(read, rows)[:, 0], self.deltas(read[positives], rows[positives])
        goals = [target.boxes[each.of_positives(each.matched)] for target, each in zip(targets, samples, strict=True)]
        objectness = self.objectness_loss(logits, torch.cat([each.positive for each in samples]))
        box = self.box_loss(
            deltas, anchors[index[positives]].to(deltas.dtype), torch.cat(goals).to(deltas.dtype), self.codec_weights
        )
        divisor = self.batch_per_image * len(samples)
        return {"loss_rpn_objectness": objectness / divisor, "loss_rpn_box": box / divisor}

    def candidates(self, features: Tensor, anchors: Tensor, classes: Tensor) -> Candidates:
        """Every anchor as a box of every class asked for. features: what forward returned. classes: (N, S) int64."""
        count, asked = classes.shape
        rows = classes[..., None] * self.per_cell + torch.arange(self.per_cell, device=classes.device)  # (N, S, A)
        logits = self.logits.everywhere(features, rows.flatten(1))  # (N, S·A, H, W, 1)
        deltas = self.deltas.everywhere(features, rows.flatten(1))
        height, width = features.shape[2:]

        def anchor_order(numbers: Tensor, last: int) -> Tensor:
            numbers = numbers.view(count, asked, self.per_cell, height, width, last)
            return numbers.permute(0, 1, 3, 4, 2, 5).reshape(count, asked, height * width * self.per_cell, last)

        boxes = decode_boxes(anchor_order(deltas, 4), anchors.to(deltas.dtype), self.codec_weights)
        return Candidates(anchor_order(logits, 1)[..., 0], boxes)
