import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms

from detres.detection.model import suppression
from detres.detection.model.suppression import suppress, suppress_at_once


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


def sorted_levels(images: int, counts: list[int]) -> tuple[Tensor, Tensor]:
    """Boxes (N, B, 4) and scores (N, B), best first within a level."""
    parts = [random_boxes(images * count)[:2] for count in counts]
    boxes = torch.cat([b.view(images, count, 4) for (b, _), count in zip(parts, counts, strict=True)], 1)
    scores = [
        s.view(images, count).sort(dim=1, descending=True).values for (_, s), count in zip(parts, counts, strict=True)
    ]
    return boxes, torch.cat(scores, 1)


@pytest.mark.parametrize("counts", [[40], [50, 7, 1], [0, 20], [0]])
@pytest.mark.parametrize("at_once", [2**26, 100])
def test_images_and_levels_together_keep_what_each_keeps_alone(
    counts: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "_OVERLAPS", at_once)
    boxes, scores = sorted_levels(3, counts)
    valid = torch.rand(scores.shape, generator=torch.Generator().manual_seed(2)) < 0.9
    valid[2] = False
    levels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    for most in (1000, 5):
        together = suppress_at_once(boxes, scores, valid, counts, 0.3, most)
        for kept, of_image, of_scores, mask in zip(together, boxes, scores, valid, strict=True):
            alone = suppress(of_image[mask], of_scores[mask], levels[mask], 0.3)[:most]
            assert torch.equal(kept, of_image[mask][alone])


def test_a_long_chain_of_boxes_that_decide_on_each_other_is_followed_to_its_end() -> None:
    left = torch.arange(100.0)
    boxes = torch.stack([left, torch.zeros(100), left + 4, torch.ones(100)], dim=1)[
        None
    ]  # 3/5 with the next, 2/6 after
    (kept,) = suppress_at_once(boxes, -left[None], torch.ones(1, 100, dtype=torch.bool), [100], 0.5, 1000)
    assert kept[:, 0].tolist() == list(range(0, 100, 2))
