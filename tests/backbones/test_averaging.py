"""Averaging to bins against torch's adaptive pooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from detres.backbones.averaging import averaged
from detres.training.deterministic import deterministic


@pytest.fixture(params=[False, True], ids=["any order", "one order"])
def either_way(request: pytest.FixtureRequest):
    with deterministic(request.param, torch.device("cpu")):
        yield


@pytest.mark.parametrize("sides", [(7, 7), (14, 21), (8, 11), (2, 3), (1, 5)])
def test_means_and_gradients_are_those_of_adaptive_pooling(either_way: None, sides: tuple[int, int]) -> None:
    ours = torch.randn(
        2, 3, *sides, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True
    )
    theirs = ours.detach().clone().requires_grad_()
    got, expected = averaged(ours, 7), F.adaptive_avg_pool2d(theirs, 7)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-7)
    weight = torch.randn(got.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    (got * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-7)


def test_three_cells_in_two_bins_share_the_middle_one(either_way: None) -> None:
    cells = torch.tensor([[[[1.0, 3.0, 8.0]]]])
    torch.testing.assert_close(averaged(cells, 2), torch.tensor([[[[2.0, 5.5], [2.0, 5.5]]]]))


def test_no_images_are_none(either_way: None) -> None:
    assert averaged(torch.zeros(0, 4, 5, 6), 7).shape == (0, 4, 7, 7)
