"""What is kept of all images at once is what is kept of each; torchvision's suppression is the oracle."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from detres.detection.model import roi_heads, suppression_at_once
from detres.detection.model.box_heads import FcHead
from detres.detection.model.region_sources import BatchPyramid
from detres.detection.model.suppression import candidates, suppress
from detres.detection.model.suppression_at_once import suppress_classes, suppress_levels


def random_boxes(count: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)
    corner = torch.rand(count, 2, generator=generator) * 60
    boxes = torch.cat([corner, corner + torch.rand(count, 2, generator=generator) * 40 + 1], dim=1)
    return boxes, torch.randn(count, generator=generator)


def sorted_levels(images: int, counts: list[int]) -> tuple[Tensor, Tensor]:
    """Boxes (N, B, 4) and scores (N, B), best first within a level."""
    parts = [random_boxes(images * count) for count in counts]
    boxes = torch.cat([b.view(images, count, 4) for (b, _), count in zip(parts, counts, strict=True)], 1)
    scores = [
        s.view(images, count).sort(dim=1, descending=True).values for (_, s), count in zip(parts, counts, strict=True)
    ]
    return boxes, torch.cat(scores, 1)


@pytest.mark.parametrize("counts", [[40], [50, 7, 1], [0, 20], [0]])
@pytest.mark.parametrize("at_once", [2**24, 100])
def test_images_and_levels_together_keep_what_each_keeps_alone(
    counts: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression_at_once, "_OVERLAPS", at_once)
    monkeypatch.setattr(suppression_at_once, "_PAIRS", 30 * at_once)
    boxes, scores = sorted_levels(3, counts)
    valid = torch.rand(scores.shape, generator=torch.Generator().manual_seed(2)) < 0.9
    valid[2] = False
    levels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    for most in (1000, 5):
        together = suppress_levels(boxes, scores, valid, counts, 0.3, most)
        for kept, of_image, of_scores, mask in zip(together, boxes, scores, valid, strict=True):
            alone = suppress(of_image[mask], of_scores[mask], levels[mask], 0.3)[:most]
            assert torch.equal(kept, of_image[mask][alone])


def test_a_long_chain_of_boxes_that_decide_on_each_other_is_followed_to_its_end() -> None:
    left = torch.arange(100.0)
    boxes = torch.stack([left, torch.zeros(100), left + 4, torch.ones(100)], dim=1)[
        None
    ]  # 3/5 with the next, 2/6 after
    (kept,) = suppress_levels(boxes, -left[None], torch.ones(1, 100, dtype=torch.bool), [100], 0.5, 1000)
    assert kept[:, 0].tolist() == list(range(0, 100, 2))


def alone(boxes: Tensor, scores: Tensor, size: Tensor, most: int) -> tuple[Tensor, Tensor, Tensor]:
    boxes, scores, labels = candidates(boxes, scores, size, floor=0.2, min_size=2.0)
    keep = suppress(boxes, scores, labels, 0.4)[:most]
    return boxes[keep], scores[keep], labels[keep]


@pytest.mark.parametrize("looked_at", [2048, 16])
@pytest.mark.parametrize("most", [100, 7])
def test_classes_together_are_what_each_image_keeps_alone(
    looked_at: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression_at_once, "_CANDIDATES", looked_at)
    counts, classes = [30, 0, 5], 3
    corners, _ = random_boxes(35 * classes)
    boxes = (corners - 5).view(35, classes, 4)
    scores = torch.rand(35, classes, generator=torch.Generator().manual_seed(0))
    sizes = torch.tensor([[70, 60], [50, 50], [40, 80]])
    together = suppress_classes(boxes, scores, counts, sizes, floor=0.2, min_size=2.0, iou=0.4, most=most)
    assert together is not None
    assert [len(rows[0]) > 0 for rows in together] == [True, False, True]
    for found, of_image, of_scores, size in zip(
        together, boxes.split(counts), scores.split(counts), sizes, strict=True
    ):
        for got, expected in zip(found, alone(of_image, of_scores, size, most), strict=True):
            assert torch.equal(got, expected)


def test_one_box_for_all_classes_of_a_region_is_as_good_as_one_for_each() -> None:
    corners, _ = random_boxes(35)
    scores = torch.rand(35, 3, generator=torch.Generator().manual_seed(0))
    counts, sizes = [30, 5], torch.tensor([[70, 60], [40, 80]])
    one, each = (
        suppress_classes(boxes, scores, counts, sizes, floor=0.2, min_size=2.0, iou=0.4, most=100)
        for boxes in (corners[:, None], corners[:, None].repeat(1, 3, 1))
    )
    assert one is not None
    assert each is not None
    for found, expected in zip(one, each, strict=True):
        assert len(set(found[2].tolist())) == 3
        assert all(torch.equal(got, wanted) for got, wanted in zip(found, expected, strict=True))


@pytest.mark.parametrize("agnostic", [True, False])
def test_a_class_agnostic_head_has_one_box_a_region_suppressed(agnostic: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand regions of a thousand classes would be copied, clipped and measured a thousand times."""
    seen = []

    def suppressed(boxes: Tensor, scores: Tensor, *_: object, **__: object) -> list[object]:
        seen.append((tuple(boxes.shape), tuple(scores.shape)))
        return []

    monkeypatch.setattr(roi_heads, "waits", lambda device: True)
    monkeypatch.setattr(roi_heads, "suppress_classes", suppressed)
    inside = FcHead(4, 2, convs=0, conv_channels=4, fcs=1, fc_channels=8, norm="none")
    head = roi_heads.RoIHeads(roi_heads.RoIPooler([8], 2), inside, 3, class_agnostic=agnostic)
    head.detections(BatchPyramid([torch.zeros(1, 4, 8, 8)], torch.tensor([[64, 64]])), [random_boxes(5)[0]])
    assert seen == [((5, 1 if agnostic else 3, 4), (5, 3))]


@pytest.mark.parametrize("limit", ["_MOST_CANDIDATES", "_PAIRS"])
def test_too_many_candidates_are_left_to_each_image(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression_at_once, "_CANDIDATES", 8)
    monkeypatch.setattr(suppression_at_once, limit, 19)
    boxes, _ = random_boxes(20)
    found = suppress_classes(
        boxes[:, None],
        torch.ones(20, 1),
        [20],
        torch.tensor([[100, 100]]),
        floor=0.5,
        min_size=0.0,
        iou=0.5,
        most=100,
    )
    assert found is None


@pytest.mark.slow
def test_a_detector_whose_device_is_waited_for_finds_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every branch for accelerators, taken on the CPU."""
    from detres.benchmarks.scenes import Scene, detres_detector, torchvision_detector

    scene = Scene("resnet18", 96, 128, images=2)
    model, _ = detres_detector(torchvision_detector(scene), scene)
    batch = scene.batch()
    losses, found = model.train()(batch), model.eval().predict(batch)
    for module in ("rpn", "roi_heads"):
        monkeypatch.setattr(f"detres.detection.model.{module}.waits", lambda device: True)
    again = model.train()(batch)
    for name, loss in losses.items():
        torch.testing.assert_close(again[name], loss, rtol=1e-6, atol=1e-7)
    for one, other in zip(found, model.eval().predict(batch), strict=True):
        assert len(one) > 0
        assert torch.equal(one.labels, other.labels)
        torch.testing.assert_close(one.boxes, other.boxes)
        torch.testing.assert_close(one.scores, other.scores)
