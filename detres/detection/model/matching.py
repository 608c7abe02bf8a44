"""Which candidates (anchors or proposals) learn from which ground-truth box, and which of them are sampled.

N images, A candidates, M ground-truth boxes, S samples of one image. Of all that is done here, only `sample_all` waits
for the device, once: how many candidates were drawn is then known on the host, and nobody after it has to ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from detres.boxes import box_iou, covered_share
from detres.detection.model.padded_targets import PaddedTargets
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
    or NEGATIVE. positives: how many of them; None: the device has to be asked.
    """

    index: Tensor
    matched: Tensor
    positives: int | None = None

    @property
    def positive(self) -> Tensor:
        return self.matched >= 0

    def of_positives(self, rows: Tensor) -> Tensor:
        """Of one row a sample, (S, ...), those of the positive ones."""
        return rows[self.positive] if self.positives is None else rows[: self.positives]


def flat_index(index: Sequence[Tensor], rows: int) -> Tensor:
    """Places in N tables of so many rows each, one tensor an image -> places in one table of N × rows."""
    return torch.cat([places + rows * image for image, places in enumerate(index)])


def match(
    candidates: Tensor,
    target: DetectionTarget,
    *,
    positive_iou: float,
    negative_iou: float,
    negative_iou_low: float = 0.0,
    keep_best: bool,
) -> Tensor:
    """`match_all` of one image: (A, 4) -> (A,) int64."""
    return match_all(
        candidates,
        PaddedTargets.of([target]),
        positive_iou=positive_iou,
        negative_iou=negative_iou,
        negative_iou_low=negative_iou_low,
        keep_best=keep_best,
    )[0]


def match_all(
    candidates: Tensor,
    truth: PaddedTargets,
    *,
    positive_iou: float,
    negative_iou: float,
    negative_iou_low: float = 0.0,
    keep_best: bool,
) -> Tensor:
    """Assign each candidate the ground-truth box it overlaps most.

    candidates: (A, 4), the same for all images, or (N, A, 4). Positive at IoU >= positive_iou, which is above 0,
    NEGATIVE where negative_iou_low <= IoU < negative_iou, else NEITHER. keep_best: every box also keeps the candidates
    that overlap it most (all of them, where several tie). Boxes under `ignore` match nothing; negatives that lie in
    them are NEITHER.
    Returns (N, A) int64: an index into the image's boxes, NEGATIVE or NEITHER.
    Source: Ren et al. 2015, section 3.1.2; the ignored share is COCO's overlap with a crowd.
    """
    boxes = truth.boxes.to(candidates.dtype)
    # Without area a box overlaps nothing by more than 0, and so it is nobody's.
    iou = box_iou(boxes.masked_fill(truth.ignored[..., None], 0.0), candidates)  # (N, M, A)
    best_iou, best_box = iou.max(dim=-2)
    matched = torch.where(best_iou >= positive_iou, best_box, NEITHER)
    matched = torch.where((best_iou < negative_iou) & (best_iou >= negative_iou_low), NEGATIVE, matched)
    if keep_best:
        best_of_box = iou.amax(dim=-1, keepdim=True)
        # A box that no candidate touches keeps none: an overlap of zero is nobody's best.
        kept = ((iou == best_of_box) & (best_of_box > 0)).any(dim=-2)
        matched = torch.where(kept, best_box, matched)
    if not truth.none_ignored:
        inside = covered_share(candidates, boxes.masked_fill(truth.learned[..., None], 0.0)).amax(dim=-1)
        matched = torch.where((matched == NEGATIVE) & (inside >= IGNORED_SHARE), NEITHER, matched)
    return matched


def sample(matched: Tensor, sample_key: Tensor, *, count: int, positive_fraction: float) -> Sample:
    """`sample_all` of one image: matched (A,), sample_key an int64 scalar."""
    return sample_all(matched[None], sample_key[None], count=count, positive_fraction=positive_fraction)[0]


def sample_all(
    matched: Tensor,
    sample_keys: Tensor,
    *,
    count: int,
    positive_fraction: float,
    places: Tensor | None = None,
) -> list[Sample]:
    """Draw up to `count` candidates of each image, at most positive_fraction of them positive, the rest negative.

    matched: (N, A) from `match_all`. sample_keys: (N,) int64; a draw depends on its key and on each candidate's place
    alone. places: (N, A) int64; None: candidates stand in their own places.
    Samples whose candidates were all taken stand in the order of the candidates, others in the order drawn.
    """
    if places is None:
        places = torch.arange(matched.shape[1], device=matched.device).expand_as(matched)
    positive, negative = matched >= 0, matched == NEGATIVE
    totals = torch.stack([positive.sum(dim=1), negative.sum(dim=1)])
    positives = totals[0].clamp(max=int(count * positive_fraction))
    taken = torch.stack([positives, totals[1].minimum(count - positives)])
    # The 32 bits of a rank before the place, so that no two are alike and the order is the same on every device.
    drawn = random_ranks(sample_keys, places) << 31 | places
    counts = taken.tolist()
    first, second = (
        _lowest(among, torch.where((total <= most)[:, None], places, drawn), max(most_of_all, default=0))
        for among, total, most, most_of_all in zip((positive, negative), totals, taken, counts, strict=True)
    )
    samples = []
    for image, (num_positive, num_negative) in enumerate(zip(*counts, strict=True)):
        index = torch.cat([first[image, :num_positive], second[image, :num_negative]])
        samples.append(Sample(index, matched[image][index], num_positive))
    return samples


def _lowest(among: Tensor, order: Tensor, count: int) -> Tensor:
    """Of each row the places of the `count` that are lowest in `order`, in that order: (N, A) twice -> (N, count).

    Where there are fewer, what follows them means nothing.
    """
    if count == 0:
        return order[:, :0]
    last = torch.iinfo(torch.int64).max
    return torch.where(among, order, last).topk(count, largest=False, sorted=True).indices
