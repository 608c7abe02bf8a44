"""Faster R-CNN, told as the paper tells it: features, proposals, and what each proposal is.

N images, L levels, K classes, D detections. Source: Ren et al. 2015; He et al. 2015, appendix A.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from detres.backbones.norms import Norm
from detres.detection.model.anchors import AnchorGrid
from detres.detection.model.head_uses import check_uses
from detres.detection.model.layouts import Layout
from detres.detection.model.region_sources import BatchPyramid
from detres.detection.model.roi_heads import RoIHeads
from detres.detection.model.rpn import RPN
from detres.structures import DetectionBatch, Detections


class FasterRCNN(nn.Module):
    """`forward` returns losses, `predict` returns detections; which one runs never depends on the mode.

    pad_to: images are padded to multiples of this many pixels. stage_norms: how each stage of the backbone
    normalizes, for the weights file. `memory_format` is that of the images, and so of every map.
    """

    def __init__(
        self,
        layout: Layout,
        rpn: RPN,
        roi: RoIHeads,
        *,
        anchors: AnchorGrid,
        class_names: Sequence[str],
        pad_to: int,
        stage_norms: Mapping[str, Norm],
    ) -> None:
        super().__init__()
        self.backbone, self.neck, self.rpn, self.roi = layout.backbone, layout.neck, rpn, roi
        self.anchors, self.class_names, self.pad_to = anchors, tuple(class_names), pad_to
        self.stage_norms = dict(stage_norms)
        self.memory_format = torch.channels_last

    def forward(self, batch: DetectionBatch) -> dict[str, Tensor]:
        """The four losses by name: loss_rpn_objectness, loss_rpn_box, loss_roi_class, loss_roi_box (scalars).

        Raises ConfigError for a RoI head that cannot be trained.
        """
        check_uses(self.roi, ["training"])
        pyramid = self.pyramid(batch.images, batch.sizes)
        anchors = self.anchors(pyramid, batch.images.shape[1:3])

        objects = self.rpn(pyramid)
        # Detached: the paper trains without a path through the proposals' coordinates.
        proposals = self.rpn.proposals(objects, anchors, batch.sizes)
        anchor_samples = self.rpn.sample(anchors, batch.targets, batch.sample_keys)
        losses = self.rpn.losses(objects, anchors, batch.targets, anchor_samples)

        source = BatchPyramid(pyramid, batch.sizes)
        return losses | self.roi.learn(source, proposals, batch.targets, batch.sample_keys)

    @torch.no_grad()
    def predict(self, batch: DetectionBatch) -> list[Detections]:
        """Detections of each image in pixels of its file, best first, on the host."""
        boxes, scores, labels, counts = self.predict_tensors(batch.images, batch.sizes)
        scale = (batch.original_sizes / batch.sizes).to(boxes.dtype).flip(1).repeat(1, 2)  # x, y, x, y
        boxes = (boxes * scale[:, None]).float()
        # All that there is to say in one tensor, which is fetched once; whole numbers below 2^24 are what they are.
        rows = torch.cat([boxes, scores.float()[..., None], labels[..., None].float()], dim=2)
        images = torch.cat([counts[:, None], batch.original_sizes], dim=1).float()
        told, said = torch.cat([rows.flatten(1), images], dim=1).cpu().split([rows[0].numel(), 3], dim=1)
        found = told.view(rows.shape)
        return [
            Detections(rows[:n, :4].contiguous(), rows[:n, 4].contiguous(), rows[:n, 5].long(), (height, width))
            for rows, (n, height, width) in zip(found, said.long().tolist(), strict=True)
        ]

    def predict_tensors(self, images: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The path that exports: tensors in, tensors out.

        images: (N, H, W, 3) uint8 RGB, padded. sizes: (N, 2) int64 unpadded height and width.
        Returns boxes (N, D, 4) in pixels of these images, scores (N, D), labels (N, D) int64 and counts (N,) int64;
        D is the most detections of an image that roi.max_detections allows, and rows from counts on are zeros.
        """
        pyramid, proposals = self.propose(images, sizes)
        found = self.roi.detections(BatchPyramid(pyramid, sizes), proposals)
        boxes, scores, labels = (self._stack(rows) for rows in zip(*found, strict=True))
        # A detection's score is above the floor, and so above that of the padding.
        return boxes, scores, labels, (scores > 0).sum(dim=1)

    def pyramid(self, images: Tensor, sizes: Tensor) -> list[Tensor]:
        """The maps that proposals and regions are read from, finest first."""
        return self.neck(self.backbone(self.normalize(images, sizes)))

    def propose(self, images: Tensor, sizes: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The pyramid of such images, and each one's proposals (P, 4) in their pixels, best first."""
        pyramid = self.pyramid(images, sizes)
        anchors = self.anchors(pyramid, images.shape[1:3])
        return pyramid, self.rpn.proposals(self.rpn(pyramid), anchors, sizes)

    def _stack(self, rows: Sequence[Tensor]) -> Tensor:
        """N tensors of up to D rows -> (N, D, ...)."""
        most = self.roi.max_detections
        return torch.stack([torch.cat([row, row.new_zeros(most, *row.shape[1:])])[:most] for row in rows])

    def normalize(self, rgb: Tensor, sizes: Tensor) -> Tensor:
        """uint8 RGB (N, H, W, 3) -> what the backbone takes, (N, 3, H, W); padding is zero after normalization."""
        images = self.backbone.normalize(rgb)
        height, width = images.shape[-2:]
        row, column = torch.arange(height, device=rgb.device), torch.arange(width, device=rgb.device)
        inside = (row[None, :, None] < sizes[:, 0, None, None]) & (column[None, None, :] < sizes[:, 1, None, None])
        return (images * inside[:, None]).contiguous(memory_format=self.memory_format)
