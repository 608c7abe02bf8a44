import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from detres.detection.model.suppression import suppress


def random_boxes(count: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + torch.rand(count, 2, generator=generator) * 40 + 1], dim=1)
    groups = torch.randint(0, 4, (count,), generator=generator)
    return boxes, torch.randn(count, generator=generator), groups


@pytest.mark.parametrize("exporting", [False, True])
def test_groups_do_not_suppress_each_other(exporting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: exporting)
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 10], [50, 50, 60, 60]])
    kept = suppress(boxes, torch.tensor([0.5, 0.9, 0.7, -4.0]), torch.tensor([0, 0, 1, 0]), 0.5)
    assert kept.tolist() == [1, 2, 3]


@pytest.mark.parametrize("count", [0, 1, 2, 300, 1500])
def test_the_exported_form_keeps_what_torchvision_keeps(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, scores, groups = random_boxes(count)
    expected = batched_nms(boxes, scores, groups, 0.5)
    assert torch.equal(suppress(boxes, scores, groups, 0.5), expected)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert torch.equal(suppress(boxes, scores, groups, 0.5), expected)
