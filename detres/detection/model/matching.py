"""Which candidates (anchors or proposals) learn from which ground-truth box, and which of them are sampled.

A candidates, M ground-truth boxes, S samples of one image.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from detres.boxes import box_iou, covered_share
from detres.draws import random_ranks
from detres.structures import DetectionTarget

NEGATIVE = -1
NEITHER = -2

# A negative with at least this share of its own area inside an ignored region may hold an object nobody labelled.
IGNORED_SHARE = 0.5


@dataclass(frozen=True)
class Sample:
    """The candidates of one image that are learned from.

    index: (S,) int64 into the candidates, positives first. matched: (S,) int64 into the target's boxes,
    or NEGATIVE.
    """

    index: Tensor
    matched: Tensor

    @property
    def positive(self) -> Tensor:
        return self.matched >= 0


def match(
    candidates: Tensor,
    target: DetectionTarget,
    *,
    positive_iou: float,
    negative_iou: float,
    negative_iou_low: float = 0.0,
    keep_best: bool,
) -> Tensor:
    """Assign each candidate the ground-truth box it overlaps most.

    candidates: (A, 4). Positive at IoU >= positive_iou, NEGATIVE where negative_iou_low <= IoU < negative_iou, else
    NEITHER. keep_best: every box also keeps the candidates that overlap it most (all of them, where several tie).
    Boxes under `ignore` match nothing; negatives that lie in them are NEITHER.
    Returns (A,) int64: an index into target.boxes, NEGATIVE or NEITHER.
    Source: Ren et al. 2015, section 3.1.2; the ignored share is COCO's overlap with a crowd.
    """
    learned = (~target.ignore).nonzero().squeeze(1)
    if len(learned):
        iou = box_iou(target.boxes[learned].to(candidates.dtype), candidates)  # (M, A)
        best_iou, best_box = iou.max(dim=0)
        matched = torch.where(best_iou >= positive_iou, learned[best_box], torch.full_like(best_box, NEITHER))
        matched[(best_iou < negative_iou) & (best_iou >= negative_iou_low)] = NEGATIVE
        if keep_best:
            best_of_box = iou.max(dim=1, keepdim=True).values
            # A box that no candidate touches keeps none: an overlap of zero is nobody's best.
            kept = ((iou == best_of_box) & (best_of_box > 0)).any(dim=0)
            matched = torch.where(kept, learned[best_box], matched)
    else:
        # Without boxes every overlap is 0: negatives, unless negatives must overlap something.
        only = NEGATIVE if negative_iou_low == 0.0 else NEITHER
        matched = torch.full((len(candidates),), only, dtype=torch.int64, device=candidates.device)
    if len(learned) < len(target):
        inside = covered_share(candidates, target.boxes[target.ignore].to(candidates.dtype)).amax(dim=1)
        matched = torch.where((matched == NEGATIVE) & (inside >= IGNORED_SHARE), NEITHER, matched)
    return matched


def sample(matched: Tensor, sample_key: Tensor, *, count: int, positive_fraction: float) -> Sample:
    """Draw up to `count` candidates, at most positive_fraction of them positive, the rest negative.

    matched: (A,) from `match`. sample_key: int64 scalar; the draw depends on it and on each candidate's place alone.
    """
    ranks = random_ranks(sample_key, len(matched))
    positives = (matched >= 0).nonzero().squeeze(1)
    negatives = (matched == NEGATIVE).nonzero().squeeze(1)
    positives = _lowest(positives, ranks, int(count * positive_fraction))
    negatives = _lowest(negatives, ranks, count - len(positives))
    index = torch.cat([positives, negatives])
    return Sample(index, matched[index])


def _lowest(index: Tensor, ranks: Tensor, count: int) -> Tensor:
    """Those `count` of `index` whose ranks are lowest; the order is the same on every device."""
    if len(index) <= count:
        return index
    return index[ranks[index].topk(count, largest=False, sorted=True).indices]
