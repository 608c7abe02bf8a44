"""A region's features are followed by those of its whole image."""

from __future__ import annotations

import torch
from torch import Tensor

from detres.detection.model.context import with_context


def corners_as_features(regions: list[Tensor]) -> Tensor:
    """One feature more than corners: which image it is."""
    return torch.cat([torch.cat([r, torch.full_like(r[:, :1], i)], dim=1) for i, r in enumerate(regions)])


def test_each_region_is_followed_by_its_own_image_without_the_padding() -> None:
    regions = [torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]]), torch.zeros(0, 4), torch.tensor([[9.0, 9, 10, 10]])]
    sizes = torch.tensor([[50, 60], [10, 10], [30, 40]])
    assert with_context(corners_as_features, regions, sizes).tolist() == [
        [1, 2, 3, 4, 0, 0, 0, 60, 50, 0],
        [5, 6, 7, 8, 0, 0, 0, 60, 50, 0],
        [9, 9, 10, 10, 2, 0, 0, 40, 30, 2],
    ]


def test_the_context_learns_from_every_region() -> None:
    scale = torch.ones((), requires_grad=True)
    features = with_context(lambda regions: torch.cat(regions) * scale, [torch.ones(3, 4)], torch.tensor([[2, 5]]))
    features[:, 4:].sum().backward()
    assert scale.grad.item() == 3 * (5 + 2)
