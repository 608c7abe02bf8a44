"""What is timed as the same work gives the same numbers."""

import itertools

import pytest
import torch

from detres.benchmarks.gpu.operators import (
    _boxes,
    our_pooling,
    our_suppression,
    scored_boxes,
    their_pooling,
    their_suppression,
)
from detres.benchmarks.gpu.sizes import Operators
from detres.boxes import box_iou

CPU = torch.device("cpu")
SIZES = Operators(images=2, cells=12, channels=4, regions=6, boxes=43)


@pytest.mark.parametrize("method", ["rows", "torchvision"])
def test_both_ways_of_pooling_give_what_torchvisions_kernel_gives(method: str) -> None:
    ours = our_pooling(SIZES, CPU, method=method, dtype=torch.float32, backward=False)()
    theirs = their_pooling(SIZES, CPU, backward=False)()
    assert ours.shape == (12, 4, 7, 7)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_pooling_both_ways_leaves_a_gradient_and_no_sum_of_several() -> None:
    call = our_pooling(SIZES, CPU, method="rows", dtype=torch.bfloat16, backward=True)
    call()
    call()  # A second time, as it is timed: the first gradient is let go.


def test_boxes_lie_in_the_picture() -> None:
    boxes = _boxes(3, 50, 12)
    assert boxes.shape == (3, 50, 4)
    assert (boxes[..., :2] >= 0).all()
    assert (boxes[..., 2:] <= torch.tensor([80.0, 48.0]) + 1e-4).all()
    assert (boxes[..., 2:] > boxes[..., :2]).all()


def test_scores_are_best_first_within_a_level() -> None:
    boxes, scores, counts = scored_boxes(SIZES)
    assert (boxes.shape, scores.shape, counts) == ((2, 43, 4), (2, 43), [8, 8, 8, 8, 11])
    for level in scores.split(counts, dim=1):
        assert (level.diff(dim=1) <= 0).all()


def test_suppression_keeps_what_brute_force_keeps() -> None:
    boxes, scores, counts = scored_boxes(SIZES)
    levels = [level for level, count in enumerate(counts) for _ in range(count)]
    for image, (ours, theirs) in enumerate(
        zip(our_suppression(SIZES, CPU)(), their_suppression(SIZES, CPU)(), strict=True)
    ):
        kept: list[int] = []
        for place in scores[image].argsort(descending=True).tolist():
            rivals = [other for other in kept if levels[other] == levels[place]]
            if not rivals or (box_iou(boxes[image, [place]], boxes[image, rivals]) <= 0.7).all():
                kept.append(place)
        torch.testing.assert_close(ours, boxes[image, kept])
        torch.testing.assert_close(theirs, boxes[image, kept])


def test_there_is_something_to_suppress() -> None:
    boxes, _, counts = scored_boxes(SIZES)
    starts = [0, *itertools.accumulate(counts)]
    overlaps = [
        box_iou(boxes[0, start:end], boxes[0, start:end]).triu(1).max() for start, end in itertools.pairwise(starts)
    ]
    assert max(overlaps) > 0.3
