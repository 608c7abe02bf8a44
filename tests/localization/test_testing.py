from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from detres.data.classification.views import ViewBatch, ViewDataset, ViewPlan, collate_views
from detres.errors import WeightsError
from detres.localization.class_rpn import Candidates
from detres.localization.testing import Finder

CPU = torch.device("cpu")
HEIGHT, WIDTH = 60, 90


class Pictures:
    """Black images with a white rectangle at (30, 20, 60, 50)."""

    def __len__(self) -> int:
        return 2

    def image_id(self, i: int) -> int:
        return i

    def read(self, i: int) -> np.ndarray:
        rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        rgb[20:50, 30:60] = 255
        return rgb


class Rpn:
    """Answers with given boxes, as shares of what it is shown; scores: of a view's height and the class."""

    def __init__(self, shares: list[list[float]], score: Callable[[int, int], list[float]]) -> None:
        self.shares, self.score = torch.tensor(shares), score

    def candidates(self, images: Tensor, classes: Tensor) -> Candidates:
        height, width = images.shape[1:3]
        boxes = self.shares * torch.tensor([width, height, width, height])
        scores = [[self.score(height, label) for label in row] for row in classes.tolist()]
        return Candidates(torch.tensor(scores), boxes.expand(*classes.shape, -1, 4))


class Rcnn:
    """The whiter a square, the better; every box is the middle of its square."""

    def judge(self, crops: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return crops.float().mean(dim=(1, 2, 3)), torch.tensor([[0.25, 0.25, 0.75, 0.75]]).expand(len(crops), 4)


def loaded(finder: Finder) -> ViewBatch:
    dataset = ViewDataset(Pictures(), finder.plans)
    return collate_views([dataset[i] for i in range(2)])


def found(finder: Finder, classes: list[list[int]]) -> Tensor:
    return finder.best_boxes(loaded(finder), torch.tensor(classes), CPU)


def finder_of(rpn: Rpn, plan: ViewPlan, **options: Any) -> Finder:
    return Finder(rpn, plan, **options)


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (ViewPlan("whole", 1, (60,)), [0, 0, WIDTH, HEIGHT]),
        (ViewPlan("whole", 1, (30,)), [0, 0, WIDTH, HEIGHT]),
        (ViewPlan("centre", 40, (60,)), [25, 10, 65, 50]),
        (ViewPlan("centre", 40, (120,)), [35, 20, 55, 40]),
    ],
)
def test_the_box_of_a_view_is_brought_into_pixels_of_the_file(plan: ViewPlan, expected: list[float]) -> None:
    rpn = Rpn([[0.0, 0, 1, 1], [0.1, 0.1, 0.2, 0.2]], lambda height, label: [1.0, 0.0])
    boxes = found(finder_of(rpn, plan), [[0], [3]])
    torch.testing.assert_close(boxes, torch.tensor(expected, dtype=torch.float32).expand(2, 1, 4))


def test_boxes_of_all_scales_compete_class_by_class_and_are_cut_at_the_edges() -> None:
    def score(height: int, label: int) -> list[float]:
        return [float(height), 0.0] if label == 0 else [0.0, -float(height)]

    rpn = Rpn([[0.5, 0.5, 2, 2], [0, 0, 0.5, 0.5]], score)
    boxes = found(finder_of(rpn, ViewPlan("whole", 1, (30, 60))), [[0, 1], [1, 0]])
    corner = [45.0, 30.0, 90.0, 60.0]
    assert boxes[0, 0].tolist() == corner
    assert boxes[1].tolist() == [corner, corner]  # of class 1, too, this box has the higher score


def test_proposals_are_those_of_suppression_by_brute_force() -> None:
    random = np.random.default_rng(0)
    corners = random.uniform(0, 0.6, (60, 2))
    shares = np.concatenate([corners, corners + random.uniform(0.1, 0.4, (60, 2))], axis=1)
    scores = random.permutation(60).astype(float).tolist()
    finder = finder_of(Rpn(shares.tolist(), lambda height, label: scores), ViewPlan("whole", 1, (60,)), nms=0.4)
    ((proposals,), _) = finder.propose(loaded(finder), torch.zeros(2, 1, dtype=torch.int64), CPU, count=12)
    kept: list[int] = []
    for place in np.argsort(scores)[::-1]:
        if all(iou(shares[place], shares[other]) <= 0.4 for other in kept):
            kept.append(int(place))
    expected = torch.tensor(shares[kept[:12]] * [WIDTH, HEIGHT, WIDTH, HEIGHT], dtype=torch.float32)
    torch.testing.assert_close(proposals.boxes, expected, rtol=1e-4, atol=1e-3)
    assert proposals.scores.tolist() == [scores[place] for place in kept[:12]]


def iou(a: np.ndarray, b: np.ndarray) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def test_weights_that_have_diverged_are_told() -> None:
    finder = finder_of(Rpn([[0.0, 0, 1, 1]], lambda height, label: [float("nan")]), ViewPlan("whole", 1, (60,)))
    with pytest.raises(WeightsError, match="scores of image 0 are not finite"):
        found(finder, [[0], [0]])


def test_where_no_proposal_lies_on_the_image_the_image_is_one() -> None:
    finder = finder_of(Rpn([[2.0, 2, 3, 3]], lambda height, label: [0.0]), ViewPlan("whole", 1, (60,)))
    ((proposals,), _) = finder.propose(loaded(finder), torch.zeros(2, 1, dtype=torch.int64), CPU, count=5)
    assert proposals.boxes.tolist() == [[0, 0, WIDTH, HEIGHT]]


def test_the_rcnn_takes_the_proposal_it_likes_best_and_moves_it() -> None:
    shares = [[0.0, 0, 0.3, 0.3], [1 / 3, 1 / 3, 2 / 3, 5 / 6], [0.5, 0.5, 1, 1]]
    rpn = Rpn(shares, lambda height, label: [2.0, 1.0, 0.0])
    for pixels in (1, 1 << 20):  # one square at a time, and all at once
        finder = finder_of(rpn, ViewPlan("whole", 1, (60,)), rcnn=Rcnn(), side=8, pixels_at_once=pixels)
        boxes = found(finder, [[0], [1]])
        middle = torch.tensor([37.5, 27.5, 52.5, 42.5])
        torch.testing.assert_close(boxes, middle.expand(2, 1, 4), atol=0.6, rtol=0)
