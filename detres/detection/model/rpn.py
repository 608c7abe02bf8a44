"""The region proposal network: for every anchor, is there an object, and where does it really lie?

N images, L levels, A anchors a cell, T anchors of all levels together, P proposals of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from detres.boxes import CodecWeights, clip_boxes, decode_boxes
from detres.detection.model.losses import BoxLoss, Normalizer, ObjectnessLoss, normalizer
from detres.detection.model.matching import Sample, flat_index, match_all, sample_all
from detres.detection.model.padded_targets import PaddedTargets, images_at_once
from detres.detection.model.suppression import suppress
from detres.detection.model.suppression_at_once import suppress_levels, waits
from detres.structures import DetectionTarget


@dataclass(frozen=True)
class RpnOutput:
    """objectness_logits: L tensors (N, H*W*A). deltas: L tensors (N, H*W*A, 4). Both float32 or wider."""

    objectness_logits: list[Tensor]
    deltas: list[Tensor]


class RPN(nn.Module):
    """One small network slid over every level. Source: Ren et al. 2015, section 3.1.

    convs: 3×3 convolutions before the two siblings. counts: proposals kept a level before NMS and an image after it.
    """

    def __init__(
        self,
        channels: int,
        anchors_per_cell: int,
        *,
        convs: int = 1,
        positive_iou: float = 0.7,
        negative_iou: float = 0.3,
        batch_per_image: int = 256,
        positive_fraction: float = 0.5,
        pre_nms_train: int = 2000,
        pre_nms_test: int = 1000,
        post_nms_train: int = 1000,
        post_nms_test: int = 1000,
        nms: float = 0.7,
        min_size: float = 0.0,
        codec_weights: CodecWeights = (1.0, 1.0, 1.0, 1.0),
        objectness_loss: ObjectnessLoss | None = None,
        box_loss: BoxLoss | None = None,
        normalizer: Normalizer = "constant",
    ) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(convs))
        self.objectness = nn.Conv2d(channels, anchors_per_cell, 1)
        self.deltas = nn.Conv2d(channels, anchors_per_cell * 4, 1)
        for layer in (*self.convs, self.objectness, self.deltas):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        self.positive_iou, self.negative_iou = positive_iou, negative_iou
        self.batch_per_image, self.positive_fraction = batch_per_image, positive_fraction
        self.pre_nms = {True: pre_nms_train, False: pre_nms_test}
        self.post_nms = {True: post_nms_train, False: post_nms_test}
        self.nms, self.min_size, self.codec_weights = nms, min_size, codec_weights
        self.objectness_loss, self.box_loss = objectness_loss or ObjectnessLoss(), box_loss or BoxLoss()
        self.normalizer = normalizer

    def forward(self, pyramid: Sequence[Tensor]) -> RpnOutput:
        """pyramid: L tensors (N, C, H, W)."""
        logits, deltas = [], []
        for features in pyramid:
            for conv in self.convs:
                features = conv(features).relu_()
            logits.append(_rows(self.objectness(features), 1).squeeze(-1))
            deltas.append(_rows(self.deltas(features), 4))
        return RpnOutput(logits, deltas)

    def proposals(self, output: RpnOutput, anchors: Sequence[Tensor], sizes: Tensor) -> list[Tensor]:
        """The best boxes of each image, best first.

        anchors: L tensors (H*W*A, 4). sizes: (N, 2) unpadded height and width.
        Returns N tensors (P, 4), clipped to the image, P <= the count kept after NMS; no gradient flows through them.
        """
        with torch.no_grad():
            scores, boxes, counts = self._best_of_each_level(output, anchors)
            boxes = clip_boxes(boxes, (sizes[:, 0, None], sizes[:, 1, None]))
            sides = boxes[..., 2:] - boxes[..., :2]
            # A box without area could be matched to nothing and encoded by nobody. An overflowed one compares false.
            valid = ((sides >= self.min_size) & (sides > 0)).all(dim=-1) & torch.isfinite(scores)
            most = self.post_nms[self.training]
            if waits(boxes.device):
                return suppress_levels(boxes, scores, valid, counts, self.nms, most)
            levels = torch.cat([torch.full((n,), i, device=boxes.device) for i, n in enumerate(counts)])
            return [self._suppress(*rows, levels, most) for rows in zip(boxes, scores, valid, strict=True)]

    def _best_of_each_level(self, output: RpnOutput, anchors: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[int]]:
        """Logits (N, B) and decoded boxes (N, B, 4) of the B anchors that enter NMS, and how many a level has."""
        scores, deltas, references = [], [], []
        for logits, of_level, reference in zip(output.objectness_logits, output.deltas, anchors, strict=True):
            top, index = logits.topk(min(self.pre_nms[self.training], logits.shape[1]), dim=1)
            scores.append(top)
            deltas.append(of_level.gather(1, index[..., None].expand(-1, -1, 4)))
            references.append(reference[index])
        chosen = torch.cat(deltas, 1)
        boxes = decode_boxes(chosen, torch.cat(references, 1).to(chosen.dtype), self.codec_weights)
        return torch.cat(scores, 1), boxes, [top.shape[1] for top in scores]

    def _suppress(self, boxes: Tensor, scores: Tensor, valid: Tensor, levels: Tensor, most: int) -> Tensor:
        index = valid.nonzero().squeeze(1)
        boxes, scores, levels = boxes[index], scores[index], levels[index]
        return boxes[suppress(boxes, scores, levels, self.nms)[:most]]

    def sample(
        self, anchors: Sequence[Tensor], targets: Sequence[DetectionTarget], sample_keys: Tensor
    ) -> list[Sample]:
        """The anchors each image learns from: N Samples over all T anchors. sample_keys: (N,) int64."""
        all_anchors = torch.cat(list(anchors))
        if len(targets) != len(sample_keys):
            raise ValueError(f"{len(targets)} targets for {len(sample_keys)} keys")
        matched = [
            match_all(
                all_anchors,
                PaddedTargets.of(targets[images]),
                positive_iou=self.positive_iou,
                negative_iou=self.negative_iou,
                keep_best=True,
            )
            for images in images_at_once(targets, len(all_anchors))
        ]
        return sample_all(
            torch.cat(matched), sample_keys, count=self.batch_per_image, positive_fraction=self.positive_fraction
        )

    def losses(
        self,
        output: RpnOutput,
        anchors: Sequence[Tensor],
        targets: Sequence[DetectionTarget],
        samples: Sequence[Sample],
    ) -> dict[str, Tensor]:
        """loss_rpn_objectness and loss_rpn_box over the samples, which may be injected."""
        logits, deltas = torch.cat(output.objectness_logits, 1), torch.cat(output.deltas, 1)
        if len(logits) != len(samples):
            raise ValueError(f"{len(samples)} samples for {len(logits)} images")
        all_anchors = torch.cat(list(anchors)).to(deltas.dtype)
        chosen_logits = logits.flatten()[flat_index([s.index for s in samples], logits.shape[1])]
        is_object = torch.cat([s.matched for s in samples]) >= 0
        positives = [s.of_positives(s.index) for s in samples]
        goals = [t.boxes[s.of_positives(s.matched)] for t, s in zip(targets, samples, strict=True)]
        box = self.box_loss(
            deltas.flatten(0, 1)[flat_index(positives, deltas.shape[1])],
            all_anchors[torch.cat(positives)],
            torch.cat(goals).to(deltas.dtype),
            self.codec_weights,
        )
        objectness = self.objectness_loss(chosen_logits, is_object)
        divisor = normalizer(
            self.normalizer,
            samples=torch.full((), len(is_object), device=logits.device),
            batch_per_image=self.batch_per_image,
            images=len(samples),
        )
        return {"loss_rpn_objectness": objectness / divisor, "loss_rpn_box": box / divisor}


def _rows(maps: Tensor, width: int) -> Tensor:
    """(N, A*width, H, W) -> (N, H*W*A, width), at least float32: losses and boxes are not computed in bf16."""
    rows = maps.permute(0, 2, 3, 1).reshape(len(maps), -1, width)
    return rows if rows.dtype == torch.float64 else rows.float()
