"""From scored boxes to detections: the score floor, and non-maximum suppression within groups (levels, classes).

In a form that exports as well. N images, L levels, P regions, K classes, M boxes, S of them kept.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, nms

from detres.boxes import box_iou, clip_boxes

# Overlaps that are computed at once: 256 MiB of float32.
_OVERLAPS = 2**26
# Rounds before the device is asked whether all is settled; most chains of boxes that decide on each other are shorter.
_ROUNDS = 8


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


def suppress_at_once(
    boxes: Tensor, scores: Tensor, valid: Tensor, counts: Sequence[int], iou: float, most: int
) -> list[Tensor]:
    """What `suppress` keeps of each image, at most so many, where the images' levels are the groups.

    For devices that have to be waited for: all images and levels are looked at together, and waited for once or twice.
    boxes: (N, B, 4). scores: (N, B), best first within a level. valid: (N, B) bool, boxes that take part. counts: of
    each of L levels, B in all.
    Returns N tensors (S, 4), best first.
    """
    pad = [max(counts) - count for count in counts]
    levels = [F.pad(rows, (0, 0, 0, more)) for rows, more in zip(boxes.split(counts, dim=1), pad, strict=True)]
    present = [F.pad(rows, (0, more)) for rows, more in zip(valid.split(counts, dim=1), pad, strict=True)]
    of_levels = torch.stack(levels, dim=1)  # (N, L, most of a level, 4)
    kept, numbers = _kept_of_groups(of_levels, torch.stack(present, dim=1), iou)
    if any(pad):
        kept = torch.cat([rows[:, :count] for rows, count in zip(kept.unbind(1), counts, strict=True)], dim=1)
    masked = torch.where(kept.flatten(1), scores, -torch.inf)
    best = masked.topk(min(most, masked.shape[1]), dim=1).indices
    chosen = boxes.gather(1, best[..., None].expand(-1, -1, 4))
    return [rows[:number] for rows, number in zip(chosen, numbers, strict=True)]


def _kept_of_groups(boxes: Tensor, valid: Tensor, iou: float) -> tuple[Tensor, list[int]]:
    """Which boxes (N, L, B, 4), best first, are kept of each group, (N, L, B), and how many of each image.

    A box is kept where no kept one before it overlaps it. Said of all at once, again and again, that settles: after t
    rounds it is true of every box that a chain of less than t decides on. Nothing changes any more when it is true of
    all, for the first box of a group depends on none.
    """
    rivals = _overlapped(boxes.flatten(0, 1), iou).unflatten(0, boxes.shape[:2])
    kept, rounds, done = valid, _ROUNDS, _ROUNDS
    while True:
        for _ in range(rounds):
            before, kept = kept, valid > (rivals & kept[..., None, :]).any(dim=-1)
        settled, *numbers = torch.cat([(before == kept).all()[None], kept.sum(dim=(1, 2))]).tolist()
        if settled:
            return kept, numbers
        rounds, done = done, done + done


def _overlapped(boxes: Tensor, iou: float) -> Tensor:
    """Of groups (G, B, 4), whether row's box is overlapped by more than iou by column's, which comes before: (G, B, B).

    In blocks, for the overlaps themselves take many times the memory of the answer.
    """
    groups, count = boxes.shape[:2]
    rivals = torch.empty(groups, count, count, dtype=torch.bool, device=boxes.device)
    some = max(1, _OVERLAPS // max(1, count * count))
    rows = max(1, min(count, _OVERLAPS // max(1, count)))
    for group in range(0, groups, some):
        of_groups = boxes[group : group + some]
        for row in range(0, count, rows):
            overlap = box_iou(of_groups[:, row : row + rows], of_groups) > iou
            rivals[group : group + some, row : row + rows] = overlap.tril_(row - 1)
    return rivals
