"""Suppression of all images and groups at once, for devices that the host has to wait for: as a rule it waits once.

It waits again for chains of more than 16 boxes that decide on each other, of more than 32, and so on; for more images
than pairs of their boxes may be kept in mind; and for images with more than 2048 candidates. The same boxes are kept as
by `suppress` of each image (suppression.py), which asks the device for every image anew.
N images, L levels, P regions, K classes, B boxes of a group, D detections of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from detres.boxes import box_iou, clip_boxes

# Overlaps that are computed at once, with some tensors of as many beside them: 128 MiB of float32.
_OVERLAPS = 2**25
_MOST_OVERLAPS = 2**28
# Pairs of boxes that are kept in mind at once, a byte each and as much again in every round.
_PAIRS = 2**29
# Rounds before the device is asked whether all is settled; most chains of boxes that decide on each other are shorter.
_ROUNDS = 16
# Candidates of an image that are looked at; where one has more, as many as it has, up to the second number.
_CANDIDATES, _MOST_CANDIDATES = 2048, 8192


def waits(device: torch.device) -> bool:
    """Whether the host has to wait for this device to learn a value; in an export there is nobody to wait."""
    return device.type != "cpu" and not torch.compiler.is_exporting()


def suppress_levels(
    boxes: Tensor, scores: Tensor, valid: Tensor, counts: Sequence[int], iou: float, most: int
) -> list[Tensor]:
    """What is kept of each image, at most so many, where levels do not suppress each other.

    boxes: (N, B, 4). scores: (N, B), best first within a level. valid: (N, B) bool, boxes that take part. counts: of
    each of L levels, B in all.
    Returns N tensors (S, 4), best first.
    """
    some = max(1, _PAIRS // max(1, len(counts) * max(counts) ** 2))
    if len(boxes) > some:
        parts = zip(boxes.split(some), scores.split(some), valid.split(some), strict=True)
        return [rows for part in parts for rows in suppress_levels(*part, counts, iou, most)]
    images, pad = len(boxes), [max(counts) - count for count in counts]
    levels = [F.pad(rows, (0, 0, 0, more)) for rows, more in zip(boxes.split(counts, dim=1), pad, strict=True)]
    present = [F.pad(rows, (0, more)) for rows, more in zip(valid.split(counts, dim=1), pad, strict=True)]
    rivals = _rivals(torch.stack(levels, dim=1).flatten(0, 1), iou)
    groups = torch.stack(present, dim=1).flatten(0, 1)  # (N * L, most of a level)
    kept, numbers = _settle(rivals, groups, lambda kept: kept.view(images, -1).sum(dim=1))
    of_levels = zip(kept.view(images, len(counts), -1).unbind(1), counts, strict=True)
    kept = torch.cat([rows[:, :count] for rows, count in of_levels], dim=1)
    masked = torch.where(kept, scores, -torch.inf)
    best = masked.topk(min(most, masked.shape[1]), dim=1).indices
    chosen = boxes.gather(1, best[..., None].expand(-1, -1, 4))
    return [rows[:number] for rows, number in zip(chosen, numbers, strict=True)]


def suppress_classes(
    boxes: Tensor,
    scores: Tensor,
    counts: Sequence[int],
    sizes: Tensor,
    *,
    floor: float,
    min_size: float,
    iou: float,
    most: int,
) -> list[tuple[Tensor, Tensor, Tensor]] | None:
    """Detections of each image, at most so many, where classes do not suppress each other.

    boxes: (R, K, 4), or (R, 1, 4) where a region has the same for all classes. scores: (R, K). counts: of the regions
    of each of N images, R in all. sizes: (N, 2) height and width to clip to. floor, min_size: as of `candidates`.
    Returns N times boxes (D, 4), scores (D,) and labels (D,), best first; None where an image has more candidates than
    can be held against each other at once.
    """
    by_image = pad_sequence(list(boxes.split(list(counts))), batch_first=True)  # (N, P, K or 1, 4)
    by_image = clip_boxes(by_image, (sizes[:, 0, None, None], sizes[:, 1, None, None]))
    by_score = pad_sequence(list(scores.split(list(counts))), batch_first=True, padding_value=-torch.inf)
    sides = by_image[..., 2:] - by_image[..., :2]
    valid = (by_score > floor) & ((sides >= min_size) & (sides > 0)).all(dim=-1)
    masked = torch.where(valid, by_score, -torch.inf).flatten(1)
    totals = valid.flatten(1).sum(dim=1)
    looked_at = min(_CANDIDATES, masked.shape[1])
    while True:
        top, index = masked.topk(looked_at, dim=1)
        places = index if boxes.shape[1] == scores.shape[1] else index // scores.shape[1]
        chosen = by_image.flatten(1, 2).gather(1, places[..., None].expand(-1, -1, 4))
        labels = index % scores.shape[1]
        kept, told = _settle(
            _rivals(chosen, iou, labels), top > floor, lambda kept: torch.cat([kept.sum(dim=1), totals])
        )
        numbers, present = told[: len(counts)], max(told[len(counts) :], default=0)
        if present <= looked_at:
            break
        if present > _MOST_CANDIDATES or len(counts) * present**2 > _PAIRS:
            return None
        looked_at = present
    # Kept ones first, each in its order; a stable sort of as many as there may be is cheaper than asking which.
    order = (~kept).to(torch.uint8).argsort(dim=1, stable=True)[:, :most]
    rows = (chosen.gather(1, order[..., None].expand(-1, -1, 4)), top.gather(1, order), labels.gather(1, order))
    return [(b[:n], s[:n], c[:n]) for b, s, c, n in zip(*rows, numbers, strict=True)]


def _settle(rivals: Tensor, valid: Tensor, ask: Callable[[Tensor], Tensor]) -> tuple[Tensor, list[int]]:
    """Which boxes of each group, best first, are kept, (G, B), and what else is asked of the device by the way.

    rivals: (G, B, B) from `_rivals`. valid: (G, B) bool. ask: from what is kept to integers.
    A box is kept where no kept one before it overlaps it. Said of all at once, again and again, that settles: after t
    rounds it is true of every box that a chain of less than t decides on. Nothing changes any more when it is true of
    all, for the first box of a group depends on none.
    """
    kept, rounds, done = valid, _ROUNDS, _ROUNDS
    while True:
        for _ in range(rounds):
            before, kept = kept, valid > (rivals & kept[:, None, :]).any(dim=-1)
        settled, *told = torch.cat([(before == kept).all()[None], ask(kept)]).tolist()
        if settled:
            return kept, told
        rounds, done = done, done + done


def _overlaps_on(device: torch.device) -> int:
    """As many as take, with those beside them, a thirtieth of a GPU's memory: it starts fewer kernels for more."""
    if device.type != "cuda":
        return _OVERLAPS
    return max(_OVERLAPS, min(torch.cuda.get_device_properties(device).total_memory // 512, _MOST_OVERLAPS))


def _rivals(boxes: Tensor, iou: float, labels: Tensor | None = None) -> Tensor:
    """Of groups (G, B, 4), whether row's box is overlapped by more than iou by column's, which comes before: (G, B, B).

    labels: (G, B); boxes of different ones are no rivals. In blocks, for the overlaps themselves take many times the
    memory of the answer.
    """
    groups, count = boxes.shape[:2]
    rivals = torch.empty(groups, count, count, dtype=torch.bool, device=boxes.device)
    bound = _overlaps_on(boxes.device)
    some = max(1, bound // max(1, count * count))
    rows = max(1, min(count, bound // max(1, count)))
    for group in range(0, groups, some):
        of_groups = boxes[group : group + some]
        for row in range(0, count, rows):
            overlap = box_iou(of_groups[:, row : row + rows], of_groups) > iou
            if labels is not None:
                of_labels = labels[group : group + some]
                overlap &= of_labels[:, row : row + rows, None] == of_labels[:, None, :]
            rivals[group : group + some, row : row + rows] = overlap.tril_(row - 1)
    return rivals
