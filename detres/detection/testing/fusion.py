"""Detections of one image made into fewer: box voting, soft-NMS, weighted boxes fusion, and views merged by them.

A view is what one detector found on one form of the image (a scale, a mirror), in pixels of the image itself.
Classes never mix. Among equal scores the earlier detection goes first, so results do not depend on the device.

M detections of all classes together, S of them kept, C classes that occur. Any M may be 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from detres.boxes import box_area, box_iou
from detres.detection.model.suppression import suppress
from detres.lookup import heeded
from detres.tables import FUSIONS

View = tuple[Tensor, Tensor, Tensor]
"""boxes (M, 4) xyxy pixels, scores (M,) of at least 0, labels (M,) int64."""

VoteWeighting = Literal["score", "uniform", "iou"]

VOTED_AT_ONCE = 128  # Kept boxes; each meets every candidate, so this bounds the memory.


def fuse(
    views: Sequence[View],
    method: str,
    *,
    nms_iou: float = 0.5,
    vote_iou: float = 0.5,
    match_iou: float = 0.55,
    sigma: float = 0.5,
    floor: float = 0.001,
    max_detections: int = 100,
) -> View:
    """One view made of several, best first, at most max_detections; boxes have no negative coordinates.

    method: of the table FUSIONS; each is a function below, which takes of the other arguments what it heeds.
    """
    merge = FUSIONS[method]
    offered = {
        "nms_iou": nms_iou,
        "vote_iou": vote_iou,
        "match_iou": match_iou,
        "sigma": sigma,
        "floor": floor,
        "max_detections": max_detections,
    }
    boxes, scores, labels = merge(views, **heeded(merge, offered))
    return boxes[:max_detections], scores[:max_detections], labels[:max_detections]


def merge_by_nms(views: Sequence[View], *, nms_iou: float, max_detections: int) -> View:
    """The union, and of it what no better one overlaps by more than nms_iou."""
    boxes, scores, labels = joined(views)
    kept = suppress(boxes, scores, labels, nms_iou)[:max_detections]
    return boxes[kept], scores[kept], labels[kept]


def merge_by_votes(views: Sequence[View], *, nms_iou: float, vote_iou: float, max_detections: int) -> View:
    """merge_by_nms, and the boxes that are kept are then voted by the whole union, at vote_iou."""
    union = joined(views)
    kept_boxes, kept_scores, kept_labels = merge_by_nms([union], nms_iou=nms_iou, max_detections=max_detections)
    return vote_boxes(kept_boxes, kept_labels, *union, iou=vote_iou), kept_scores, kept_labels


def merge_by_soft_nms(
    views: Sequence[View],
    *,
    decay: Literal["linear", "gaussian"] = "linear",
    nms_iou: float,
    sigma: float,
    floor: float,
    max_detections: int,
) -> View:
    """The union with lowered scores; nms_iou is where linear decay begins."""
    boxes, scores, labels = joined(views)
    kept, kept_scores = soft_nms(boxes, scores, labels, method=decay, iou=nms_iou, sigma=sigma, floor=floor)
    kept = kept[:max_detections]
    return boxes[kept], kept_scores[:max_detections], labels[kept]


merge_by_gaussian_soft_nms = partial(merge_by_soft_nms, decay="gaussian")


def merge_by_wbf(views: Sequence[View], *, match_iou: float) -> View:
    """Weighted boxes fusion; views count alike, the empty ones as well."""
    return weighted_boxes_fusion(views, iou=match_iou)


def joined(views: Sequence[View]) -> View:
    """The union."""
    boxes, scores, labels = (torch.cat(column) for column in zip(*views, strict=True))
    return boxes, scores, labels


def vote_boxes(
    kept_boxes: Tensor,
    kept_labels: Tensor,
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    iou: float = 0.5,
    weighting: VoteWeighting = "score",
) -> Tensor:
    """Each kept box becomes the weighted mean of the boxes of its class that overlap it by iou or more.

    kept_boxes: (S, 4); kept_labels: (S,) int64. boxes, scores, labels: the M candidates, the kept ones among them: what
    there was before NMS and above the score floor.
    weighting: the candidate's score, or 1 ("uniform"), or its score times its IoU with the kept box ("iou").
    Returns (S, 4). A box whose voters weigh nothing, or that has no area to be overlapped, stays where it is.
    Source: Gidaris & Komodakis 2015, section 5 (score); Zhou et al. 2017, "CAD", weighted NMS (iou).
    """
    if torch.compiler.is_exporting():  # An export cannot count parts of a number it leaves to the data.
        return _vote(kept_boxes, kept_labels, boxes, scores, labels, iou, weighting)
    parts = zip(kept_boxes.split(VOTED_AT_ONCE), kept_labels.split(VOTED_AT_ONCE), strict=True)
    return torch.cat([_vote(kept, own, boxes, scores, labels, iou, weighting) for kept, own in parts])


def _vote(
    kept: Tensor, kept_labels: Tensor, boxes: Tensor, scores: Tensor, labels: Tensor, iou: float, weighting: str
) -> Tensor:
    overlap = box_iou(kept, boxes)
    weights = {"score": scores, "uniform": torch.ones_like(scores), "iou": overlap * scores}[weighting]
    votes = (overlap >= iou) & (kept_labels[:, None] == labels)
    weights = torch.where(votes, weights, torch.zeros_like(overlap))
    # As means of differences, without a matrix product: a box alone stays exactly where it is, and autocast and TF32
    # have nothing to shorten.
    total = weights.sum(dim=1)
    moves = [(weights * (boxes[:, side] - kept[:, side, None])).sum(dim=1) for side in range(4)]
    return kept + _ratio(torch.stack(moves, dim=1), total[:, None])


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    labels: Tensor,
    *,
    method: Literal["linear", "gaussian"] = "linear",
    iou: float = 0.5,
    sigma: float = 0.5,
    floor: float = 0.001,
) -> tuple[Tensor, Tensor]:
    """Lower the scores of boxes that better ones of their class overlap, instead of dropping them.

    The best box left is taken; each of the others left is multiplied by 1 - IoU where that is iou or more (linear), or
    by exp(-IoU² / sigma) (gaussian); and so on. What ends below floor is dropped.
    Returns (S,) int64 indices, best first, and their (S,) scores.
    Source: Bodla et al. 2017, section 3.
    """
    groups, count, steps = _class_groups(labels)
    lowered, left = scores.clone(), torch.ones_like(scores, dtype=torch.bool)
    # All classes at once, one box of each a step.
    for _ in range(steps):
        best = _first_best(torch.where(left, lowered, -torch.inf), groups, count)
        # A class with none left names one that was taken; nobody is left to be lowered by it.
        left[best] = False
        overlap = _iou_of_pairs(boxes, boxes[best[groups]])
        kept_share = torch.exp(-(overlap**2) / sigma)
        if method == "linear":
            kept_share = torch.where(overlap >= iou, 1 - overlap, torch.ones_like(overlap))
        lowered = torch.where(left, lowered * kept_share, lowered)
    order = lowered.argsort(descending=True, stable=True)
    order = order[lowered[order] >= floor]
    return order, lowered[order]


def weighted_boxes_fusion(
    views: Sequence[View], weights: Sequence[float] | None = None, iou: float = 0.55, skip_below: float = 0.0
) -> View:
    """Clusters of overlapping boxes of a class, each replaced by the score-weighted mean of all its boxes.

    Boxes are taken best first. One joins the cluster whose mean so far it overlaps most, if by more than iou, and else
    begins one. A cluster's score is the sum of its boxes' scores, divided by their number T or by the number N of
    views, whichever is more: the mean score times min(T, N) / N, so what few views see counts less.
    weights: one above 0 for each view, which counts that many times, in means and numbers alike; None: 1 each.
    skip_below: boxes with lower scores are left out.
    Returns boxes, scores, labels of the clusters, best first.
    Raises ValueError where weights do not fit.
    Source: Solovyev et al. 2021, section 3, with the first of its two ways to lower scores (conf_type "avg" in their
    program).
    """
    shares = [1.0] * len(views) if weights is None else list(weights)
    if len(shares) != len(views) or min(shares, default=0.0) <= 0:
        raise ValueError(f"{len(views)} views need as many weights above 0, one at least, got {shares}")
    boxes, scores, labels = (torch.cat(column) for column in zip(*views, strict=True))
    counts = torch.cat([torch.full_like(view[1], share) for view, share in zip(views, shares, strict=True)])
    votes = counts * scores
    order = votes.argsort(descending=True, stable=True)
    order = order[scores[order] >= skip_below]
    boxes, labels, counts, votes = boxes[order], labels[order], counts[order], votes[order]
    fused, votes, counts = _cluster(boxes, labels, votes, counts, iou)
    founded = counts > 0
    scores = votes[founded] / counts[founded].clamp(min=sum(shares))
    best = scores.argsort(descending=True, stable=True)
    return fused[founded][best], scores[best], labels[founded][best]


def _cluster(boxes: Tensor, labels: Tensor, votes: Tensor, counts: Tensor, iou: float) -> tuple[Tensor, Tensor, Tensor]:
    """Fused boxes (M, 4), sums of votes (M,) and of counts (M,): a cluster stands where its first box does.

    Where no cluster begins, the count is 0. Boxes are given best first.
    """
    groups, count, steps = _class_groups(labels)
    fused, vote_sums, count_sums = boxes.clone(), torch.zeros_like(votes), torch.zeros_like(counts)
    by_class = groups.argsort(stable=True)
    sizes = torch.bincount(groups, minlength=count)
    firsts = sizes.cumsum(0) - sizes
    # All classes at once, the next box of each a step.
    for step in range(steps):
        more = sizes > step
        newest = by_class[(firsts + step).clamp(max=len(boxes) - 1)]
        overlap = _iou_of_pairs(fused, boxes[newest[groups]])
        overlap = torch.where(count_sums > 0, overlap, -torch.inf)
        nearest = _first_best(overlap, groups, count)
        joined = torch.where(overlap[nearest] > iou, nearest, newest)[more]
        newest = newest[more]
        vote_sums[joined] += votes[newest]
        count_sums[joined] += counts[newest]
        share = _ratio(votes[newest], vote_sums[joined])
        fused[joined] += share[:, None] * (boxes[newest] - fused[joined])
    return fused, vote_sums, count_sums


def _class_groups(labels: Tensor) -> tuple[Tensor, int, int]:
    """Labels as 0..C-1, how many classes there are, and how many boxes the most frequent of them has."""
    known, groups, sizes = labels.unique(return_inverse=True, return_counts=True)
    return groups, len(known), int(sizes.max()) if len(known) else 0


def _first_best(values: Tensor, groups: Tensor, count: int) -> Tensor:
    """(count,) int64: where the greatest of each group's values stands, the first of equal ones. values: (M,)."""
    best = values.new_full((count,), -torch.inf).scatter_reduce(0, groups, values, "amax")
    places = torch.arange(len(values), device=values.device)
    places = torch.where(values == best[groups], places, len(values))
    return places.new_full((count,), len(values)).scatter_reduce(0, groups, places, "amin")


def _iou_of_pairs(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of (M, 4) and (M, 4), row by row: (M,); 0 where the union has no area."""
    corners = torch.cat([torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:])], dim=1)
    intersection = box_area(corners)
    return _ratio(intersection, box_area(boxes) + box_area(others) - intersection)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Their quotient, 0 where the denominator is not above 0."""
    return torch.where(denominator > 0, numerator / denominator, torch.zeros_like(numerator))
