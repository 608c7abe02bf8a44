"""From scored boxes to detections: the score floor, and non-maximum suppression within groups (levels, classes).

In a form that exports as well. For devices that the host has to wait for, suppression_at_once.py does the same.
P regions, K classes, M boxes, S of them kept.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

from detres.boxes import clip_boxes


def candidates(
    boxes: Tensor, scores: Tensor, size: Tensor, *, floor: float, min_size: float | Tensor = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """What may become a detection of an image: every class of every region that scores above the floor.

    boxes: (P, K, 4). scores: (P, K). size: height and width to clip to. min_size: boxes with a side shorter than this
    are left out, and those without area, in their pixels.
    Returns boxes (M, 4), scores (M,) and labels (M,) int64, region by region.
    """
    region, labels = (scores > floor).nonzero().unbind(1)
    boxes, scores = clip_boxes(boxes[region, labels], size), scores[region, labels]
    sides = boxes[:, 2:] - boxes[:, :2]
    valid = ((sides >= min_size) & (sides > 0)).all(dim=1).nonzero().squeeze(1)
    return boxes[valid], scores[valid], labels[valid]


def suppress(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Which boxes no better one of their group overlaps by more than iou.

    boxes: (M, 4), coordinates of at least 0. scores: (M,), finite. groups: (M,) int64, from 0. M may be 0.
    Returns (S,) int64 indices, best first.
    """
    if torch.compiler.is_exporting():
        return _suppress_apart(boxes, scores, groups, iou)
    return batched_nms(boxes, scores, groups, iou)


def _suppress_apart(boxes: Tensor, scores: Tensor, groups: Tensor, iou: float) -> Tensor:
    """Moves the groups apart and suppresses once, whatever M is; batched_nms asks M for the way it goes.

    Two boxes that overlap nothing join as the worst, are kept, and taken off the end: there is a maximum then where
    M is 0, and torchvision (0.26 to 0.29) declares that an exported nms keeps two at least.
    """
    boxes = torch.cat([boxes, boxes.new_tensor([[-2, -2, -1, -1], [-4, -4, -3, -3]])])
    scores = torch.cat([scores, scores.new_full((2,), -torch.inf)])
    groups = torch.cat([groups, groups.new_zeros(2)])
    moved = boxes + (groups.to(boxes.dtype) * (boxes.max() + 1))[:, None]
    return nms(moved, scores, iou)[:-2]
