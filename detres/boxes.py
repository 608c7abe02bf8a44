"""Arithmetic on boxes: xyxy, continuous pixel edges (structures.py states the convention).

M and G boxes; K classes. Everything keeps the dtype and device it is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# exp() of anything larger would make a box over 62 times its anchor: the bound of Faster R-CNN's code.
MAX_LOG_RATIO = math.log(1000.0 / 16)

CodecWeights = tuple[float, float, float, float]


def box_area(boxes: Tensor) -> Tensor:
    """(..., 4) -> (...): 0 where a box is turned inside out."""
    width, height = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).unbind(-1)
    return width * height


def intersection_area(boxes: Tensor, others: Tensor) -> Tensor:
    """(..., M, 4), (..., G, 4) -> (..., M, G), square pixels."""
    boxes, others = boxes[..., :, None, :], others[..., None, :, :]
    width = _shared_length(boxes[..., 0], boxes[..., 2], others[..., 0], others[..., 2])
    return width.mul_(_shared_length(boxes[..., 1], boxes[..., 3], others[..., 1], others[..., 3]))


def _shared_length(start: Tensor, end: Tensor, other_start: Tensor, other_end: Tensor) -> Tensor:
    # In place, an axis at a time: with both in one tensor of twice the size, a CPU takes nearly twice as long.
    return torch.minimum(end, other_end).sub_(torch.maximum(start, other_start)).clamp_(min=0)


def box_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union, (..., M, 4), (..., G, 4) -> (..., M, G); 0 where the union has no area."""
    intersection = intersection_area(boxes, others)
    union = box_area(boxes)[..., :, None] + box_area(others)[..., None, :] - intersection
    return _share(intersection, union)


def covered_share(boxes: Tensor, regions: Tensor) -> Tensor:
    """Share of each box's own area inside each region, (..., M, 4), (..., G, 4) -> (..., M, G); 0 without area.

    This is COCO's overlap with a crowd region.
    """
    area = box_area(boxes)[..., :, None]
    return _share(intersection_area(boxes, regions), area)


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole; 0 where the whole is 0, or no number."""
    return (part / whole).nan_to_num_(nan=0.0, posinf=0.0)


def clip_boxes(boxes: Tensor, size: Tensor | tuple[int, int] | tuple[Tensor, Tensor]) -> Tensor:
    """Boxes (..., 4) cut at the edges of an image of size (height, width), or of one size each."""
    height, width = size[0], size[1]
    x1, y1, x2, y2 = boxes.unbind(-1)
    zero = torch.zeros((), dtype=boxes.dtype, device=boxes.device)
    width = torch.as_tensor(width, dtype=boxes.dtype, device=boxes.device)
    height = torch.as_tensor(height, dtype=boxes.dtype, device=boxes.device)
    return torch.stack(
        [x1.clamp(zero, width), y1.clamp(zero, height), x2.clamp(zero, width), y2.clamp(zero, height)], dim=-1
    )


def encode_boxes(boxes: Tensor, anchors: Tensor, weights: CodecWeights = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Express boxes as offsets from anchors.

    boxes, anchors: (M, 4) xyxy pixels of the same image.
    Returns (M, 4): dx, dy in anchor sizes; dw, dh as log ratios; each times its weight.
    Raises ValueError where a box or an anchor has no area (its logarithm would be infinite).
    Source: Girshick et al. 2014, appendix C.
    """
    # Checked on the CPU only: on an accelerator the check would wait for the device at every step.
    if boxes.device.type == "cpu":
        for name, given in (("box", boxes), ("anchor", anchors)):
            flat = (given[:, 2:] <= given[:, :2]).any(dim=1).nonzero()
            if len(flat):
                row = int(flat[0])
                raise ValueError(f"{name} {row} has no area: {given[row].tolist()}; filter such boxes first")
    sides, anchor_sides = boxes[..., 2:] - boxes[..., :2], anchors[..., 2:] - anchors[..., :2]
    shift = (boxes[..., :2] + 0.5 * sides) - (anchors[..., :2] + 0.5 * anchor_sides)
    deltas = torch.cat([shift / anchor_sides, torch.log(sides / anchor_sides)], dim=-1)
    if weights == (1.0, 1.0, 1.0, 1.0):
        return deltas
    return torch.stack([delta * weight for delta, weight in zip(deltas.unbind(-1), weights, strict=True)], dim=-1)


def decode_boxes(deltas: Tensor, anchors: Tensor, weights: CodecWeights = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """The inverse of encode_boxes; deltas (..., 4) and anchors (..., 4) broadcast against each other.

    Log ratios are bounded by MAX_LOG_RATIO. Source: Girshick et al. 2014, appendix C.
    """
    anchor_x, anchor_y, anchor_w, anchor_h = _centers(anchors)
    dx, dy, dw, dh = (d if w == 1 else d / w for d, w in zip(deltas.unbind(-1), weights, strict=True))
    x, y = dx * anchor_w + anchor_x, dy * anchor_h + anchor_y
    half_w = 0.5 * torch.exp(dw.clamp(max=MAX_LOG_RATIO)) * anchor_w
    half_h = 0.5 * torch.exp(dh.clamp(max=MAX_LOG_RATIO)) * anchor_h
    return torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], dim=-1)


def _centers(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centre x, centre y, width, height of (..., 4)."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    width, height = x2 - x1, y2 - y1
    return x1 + 0.5 * width, y1 + 0.5 * height, width, height
