"""The boxes that were found are looked at again, and everything that was said of them is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from detres.detection.testing.refinement import next_regions, read_repeatedly
from detres.detection.testing.regions import Ensemble

SIZE = torch.tensor([80, 100])
CLASSES = 3


class Reader:
    """Says of a region what a fixed function of its corners says."""

    def __init__(self, proposals: Tensor, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.size, self.min_size, self._proposals = SIZE, torch.zeros(2), proposals
        self._moves = torch.randn(CLASSES, 4, generator=generator, dtype=torch.float64) * 5
        self._scores = torch.randn(4, CLASSES + 1, generator=generator, dtype=torch.float64) / 20

    def proposals(self) -> Tensor:
        return self._proposals

    def read(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        return regions[:, None] + self._moves, (regions @ self._scores).softmax(dim=1)[:, :-1]


def some_regions(count: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(count, 2, generator=generator, dtype=torch.float64) * 60
    return torch.cat([corner, corner + 5 + 15 * torch.rand(count, 2, generator=generator, dtype=torch.float64)], dim=1)


def refined_one_by_one(read: Callable[[Tensor], tuple[Tensor, Tensor]], proposals: Tensor, rounds: int) -> list:
    """(boxes, scores) of each region of each round, a region at a time, as the paper tells it."""
    said, regions = [], proposals.tolist()
    for _ in range(rounds + 1):
        following = []
        for region in regions:
            (boxes,), (scores,) = read(torch.tensor([region], dtype=torch.float64))
            said.append((boxes, scores))
            best = max(range(CLASSES), key=lambda k, scores=scores: scores[k].item())
            x1, y1, x2, y2 = boxes[best].tolist()
            height, width = SIZE.tolist()
            following.append(
                [min(max(x1, 0), width), min(max(y1, 0), height), min(max(x2, 0), width), min(max(y2, 0), height)]
            )
        regions = following
    return said


@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_every_round_reads_the_best_boxes_of_the_round_before(rounds: int) -> None:
    reader = Reader(some_regions(12))
    boxes, scores = read_repeatedly(reader, rounds)
    expected = refined_one_by_one(reader.read, reader.proposals(), rounds)
    assert torch.allclose(boxes, torch.stack([each for each, _ in expected]))
    assert torch.allclose(scores, torch.stack([each for _, each in expected]))
    assert len(boxes) == 12 * (1 + rounds)


def test_the_next_region_is_the_box_of_the_best_class_within_the_image() -> None:
    boxes = torch.tensor([[[0.0, 0, 10, 10], [5, 5, 200, 200]], [[1, 2, 3, 4], [0, 0, 1, 1]]])
    scores = torch.tensor([[0.1, 0.2], [0.3, 0.2]])
    assert next_regions(boxes, scores, SIZE).tolist() == [[5, 5, 100, 80], [1, 2, 3, 4]]


def test_an_image_without_proposals_stays_without() -> None:
    boxes, scores = read_repeatedly(Reader(torch.zeros(0, 4, dtype=torch.float64)), 2)
    assert (boxes.shape, scores.shape) == ((0, CLASSES, 4), (0, CLASSES))


def test_an_ensemble_reads_all_proposals_with_every_member_and_averages() -> None:
    members = [Reader(some_regions(4 + seed, seed), seed) for seed in range(3)]
    together = Ensemble(members)
    proposals = together.proposals()
    assert proposals.tolist() == [row for member in members for row in member.proposals().tolist()]
    boxes, scores = together.read(proposals)
    for row, region in enumerate(proposals):
        said = [member.read(region[None]) for member in members]
        for k in range(CLASSES):
            mean_box = [sum(b[0, k, side].item() for b, _ in said) / 3 for side in range(4)]
            assert boxes[row, k].tolist() == pytest.approx(mean_box)
            assert scores[row, k].item() == pytest.approx(sum(s[0, k].item() for _, s in said) / 3)
