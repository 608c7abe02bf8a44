"""The two networks of localization: one finds boxes of a class on an image, one judges single proposals.

N images of H×W pixels, M proposals, S classes asked for of an image, K classes. Source: He et al. 2015, appendix C.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detres.backbones.resnet import ResNet
from detres.boxes import CodecWeights, decode_boxes
from detres.detection.model.anchors import AnchorGrid
from detres.detection.model.losses import BoxLoss
from detres.localization.class_rpn import Candidates, ClassRPN
from detres.localization.per_class import PerClassLinear
from detres.structures import LocalizationBatch, move_together


class Localizer(nn.Module):
    """A classification trunk, to whose last map something per class is added. class_names: K."""

    def __init__(self, trunk: ResNet, class_names: Sequence[str]) -> None:
        super().__init__()
        self.trunk, self.class_names = trunk, tuple(class_names)
        self.memory_format = torch.channels_last

    @property
    def channels(self) -> int:
        return self.trunk.specs["c5"].channels

    def normalize(self, rgb: Tensor) -> Tensor:
        """uint8 RGB (N, H, W, 3) -> what the trunk takes, (N, 3, H, W)."""
        return self.trunk.normalize(rgb).contiguous(memory_format=self.memory_format)


class ClassRpnLocalizer(Localizer):
    """Slides the per-class RPN over the last map of the whole image: 7×7 cells of a 224×224 crop.

    grid: of one level, that map. rpn: reads it, for each of class_names.
    """

    def __init__(self, trunk: ResNet, class_names: Sequence[str], *, grid: AnchorGrid, rpn: ClassRPN) -> None:
        super().__init__(trunk, class_names)
        self.grid, self.rpn = grid, rpn

    def forward(self, batch: LocalizationBatch) -> dict[str, Tensor]:
        """The losses of ClassRPN.losses over the batch."""
        features, anchors = self._features(self.normalize(batch.images))
        samples = self.rpn.sample(anchors, batch.targets, batch.sample_keys)
        return self.rpn.losses(features, anchors, batch.labels, batch.targets, samples)

    def candidates(self, images: Tensor, classes: Tensor) -> Candidates:
        """Every anchor of every cell as a box of the classes. images: uint8 RGB (N, H, W, 3). classes: (N, S)."""
        features, anchors = self._features(self.normalize(images))
        return self.rpn.candidates(features, anchors, classes)

    def _features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What the siblings read, and the anchors (T, 4)."""
        features = self.rpn(self.trunk.last_map(images))
        (anchors,) = self.grid([features], (images.shape[2], images.shape[3]))
        return features, anchors


class RcnnLocalizer(Localizer):
    """Judges a proposal that was cut from its image and warped to a square, by the class it was made for.

    The mean of the last map is read by two siblings, each with a row a class: whether it is an object of the class, and
    how the box lies in the square. A proposal is learned from by the class of its image alone.
    """

    def __init__(
        self,
        trunk: ResNet,
        class_names: Sequence[str],
        *,
        codec_weights: CodecWeights = (10.0, 10.0, 5.0, 5.0),
        box_loss: BoxLoss | None = None,
    ) -> None:
        super().__init__(trunk, class_names)
        self.logits = PerClassLinear(self.channels, len(self.class_names), 1)
        self.deltas = PerClassLinear(self.channels, len(self.class_names), 4)
        self.codec_weights, self.box_loss = codec_weights, box_loss or BoxLoss()

    def forward(self, batch: LocalizationBatch) -> dict[str, Tensor]:
        """loss_roi_class and loss_roi_box over the batch's crops, each divided by their number.

        A crop with a box is a positive, whose box is learned; one without is a negative.
        """
        features = self._features(batch.images)
        places = torch.tensor([place for place, target in enumerate(batch.targets) if len(target)], dtype=torch.int64)
        (positives,) = move_together([places], features.device, non_blocking=True)
        logits = self.logits(features, batch.labels)[:, 0]
        deltas = self.deltas(features[positives], batch.labels[positives])
        goals = torch.cat([target.boxes for target in batch.targets]).to(deltas.dtype)
        references = _square(batch.images, deltas).expand(len(goals), 4)
        positive = torch.zeros_like(logits).index_fill_(0, positives, 1.0)
        classes = F.binary_cross_entropy_with_logits(logits, positive, reduction="sum")
        box = self.box_loss(deltas, references, goals, self.codec_weights)
        return {"loss_roi_class": classes / len(batch), "loss_roi_box": box / len(batch)}

    def judge(self, crops: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (M,) and boxes (M, 4) as shares of the square: 0, 0, 1, 1 is the proposal itself.

        crops: uint8 RGB (M, H, W, 3). labels: (M,), the class that each was proposed for.
        """
        features = self._features(crops)
        deltas = self.deltas(features, labels)
        whole = torch.cat([deltas.new_zeros(1, 2), deltas.new_ones(1, 2)], dim=1)
        return self.logits(features, labels)[:, 0], decode_boxes(deltas, whole, self.codec_weights)

    def _features(self, rgb: Tensor) -> Tensor:
        return self.trunk.last_map(self.normalize(rgb)).mean(dim=(2, 3))


def _square(images: Tensor, like: Tensor) -> Tensor:
    """(1, 4), the box of the whole crop; written on the device, for a copy would be waited for."""
    square = like.new_zeros(1, 4)
    square[:, 2], square[:, 3] = images.shape[2], images.shape[1]
    return square
