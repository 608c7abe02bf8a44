"""Each region is read from the two sizes of an image that suit it."""

from __future__ import annotations

import pytest
import torch

from detres.detection.testing.multiscale import CANONICAL_SIZE, read_suitable_scales, suitable_scales


def adjacent_by_definition(side: float, scales: list[float]) -> int:
    """The lower of the two scales around the trunk's size; the two at one end where there are none around it."""
    sides = [side * scale for scale in scales]
    for lower in range(len(scales) - 1):
        if sides[lower] <= CANONICAL_SIZE < sides[lower + 1]:
            return lower
    return 0 if sides[0] > CANONICAL_SIZE else len(scales) - 2


def test_the_two_scales_are_those_around_the_trunks_size() -> None:
    # A square of 100 pixels is 50, 100, 200, 300 wide at these scales: 224 lies between the last two.
    boxes = torch.tensor([[0.0, 0, 100, 100], [0, 0, 400, 400], [0, 0, 4, 4], [0, 0, 1000, 1000]])
    assert suitable_scales(boxes, torch.tensor([0.5, 1.0, 2.0, 3.0])).tolist() == [2, 0, 2, 0]


def test_a_region_of_just_the_trunks_size_takes_that_scale_as_the_lower() -> None:
    box = torch.tensor([[0.0, 0, 112, 448]])  # as large as a square of 224
    assert suitable_scales(box, torch.tensor([0.5, 1.0, 2.0])).tolist() == [1]


@pytest.mark.parametrize("count", [2, 3, 5])
def test_scales_are_chosen_as_the_definition_reads(count: int) -> None:
    generator = torch.Generator().manual_seed(count)
    scales = (torch.rand(count, generator=generator, dtype=torch.float64) * 3 + 0.1).sort().values
    corner = torch.rand(200, 2, generator=generator, dtype=torch.float64) * 300
    sides = torch.exp(torch.rand(200, 2, generator=generator, dtype=torch.float64) * 7)
    boxes = torch.cat([corner, corner + sides], dim=1)
    expected = [adjacent_by_definition((w * h) ** 0.5, scales.tolist()) for w, h in sides.tolist()]
    assert suitable_scales(boxes, scales).tolist() == expected
    assert len(set(expected)) == count - 1


def test_features_of_both_scales_are_merged_by_their_maximum() -> None:
    generator = torch.Generator().manual_seed(0)
    boxes = torch.rand(30, 4, generator=generator)
    weights = [torch.randn(4, 7, generator=generator) for _ in range(4)]
    lower = torch.randint(0, 3, (30,), generator=generator)
    merged = read_suitable_scales([lambda rows, w=w: rows @ w for w in weights], boxes, lower)
    for row, scale in enumerate(lower.tolist()):
        assert torch.allclose(merged[row], torch.maximum(boxes[row] @ weights[scale], boxes[row] @ weights[scale + 1]))


def test_no_regions_have_no_features() -> None:
    none = torch.zeros(0, 4)
    lower = suitable_scales(none, torch.tensor([1.0, 2.0]))
    assert read_suitable_scales([lambda rows: rows.new_zeros(len(rows), 3)] * 2, none, lower).shape == (0, 3)
