from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detres.boxes import encode_boxes
from detres.detection.model.anchors import AnchorGrid
from detres.localization.class_rpn import ClassRPN
from detres.localization.localizers import ClassRpnLocalizer, RcnnLocalizer
from detres.structures import DetectionTarget, FeatureSpec, LocalizationBatch

NAMES = ("cat", "dog", "owl")
SIDE = 64


class Trunk(nn.Module):
    """Means over 32×32 pixels, in six channels."""

    def __init__(self) -> None:
        super().__init__()
        self.specs = {"c5": FeatureSpec(6, 32)}

    def normalize(self, rgb: Tensor) -> Tensor:
        return rgb.permute(0, 3, 1, 2).float() / 255

    def last_map(self, images: Tensor) -> Tensor:
        cells = F.avg_pool2d(images, 32)
        return torch.cat([cells, cells.square()], dim=1)


def target(*boxes: list[float]) -> DetectionTarget:
    count = len(boxes)
    ignore = torch.zeros(count, dtype=torch.bool)
    return DetectionTarget(torch.tensor(boxes).reshape(-1, 4), torch.zeros(count, dtype=torch.int64), ignore)


@pytest.fixture
def batch() -> LocalizationBatch:
    torch.manual_seed(0)
    return LocalizationBatch(
        images=torch.randint(0, 255, (3, SIDE, SIDE, 3), dtype=torch.uint8),
        labels=torch.tensor([2, 0, 2]),
        targets=(target([-4.0, 8, 60, 70]), target(), target([0.0, 0, 64, 32])),
        image_ids=("a", "b", "c"),
        sample_keys=torch.arange(3),
    )


@pytest.fixture
def rcnn() -> RcnnLocalizer:
    torch.manual_seed(1)
    return RcnnLocalizer(Trunk(), NAMES)


def rpn_localizer() -> ClassRpnLocalizer:
    grid = AnchorGrid([(16.0, 32.0)], [32], ratios=(1.0,))
    return ClassRpnLocalizer(Trunk(), NAMES, grid=grid, rpn=ClassRPN(6, grid.per_cell, len(NAMES), channels=8))


def test_the_rcnn_learns_the_class_of_the_image_and_the_box_of_positives(
    rcnn: RcnnLocalizer, batch: LocalizationBatch
) -> None:
    losses = rcnn(batch)
    features = rcnn.trunk.last_map(rcnn.normalize(batch.images)).mean(dim=(2, 3))
    own = torch.stack([rcnn.logits.weight[k, 0] @ f for k, f in zip(batch.labels, features, strict=True)])
    deltas = torch.stack([rcnn.deltas.weight[k] @ f for k, f in zip(batch.labels, features, strict=True)])
    classes = F.binary_cross_entropy_with_logits(own, torch.tensor([1.0, 0.0, 1.0]))
    square = torch.tensor([[0.0, 0, SIDE, SIDE]])
    goals = [encode_boxes(batch.targets[i].boxes, square, (10.0, 10.0, 5.0, 5.0))[0] for i in (0, 2)]
    box = sum((deltas[i] - goal).abs().sum() for i, goal in zip((0, 2), goals, strict=True)) / 3
    torch.testing.assert_close(losses["loss_roi_class"], classes)
    torch.testing.assert_close(losses["loss_roi_box"], box)


def test_the_rcnn_without_positives_has_no_box_loss_and_still_a_gradient(
    rcnn: RcnnLocalizer, batch: LocalizationBatch
) -> None:
    losses = rcnn(LocalizationBatch(batch.images, batch.labels, (target(),) * 3, batch.image_ids, batch.sample_keys))
    assert losses["loss_roi_box"] == 0.0
    sum(losses.values()).backward()
    assert all(parameter.grad is not None for parameter in rcnn.parameters())


def test_a_proposal_that_is_not_moved_is_the_whole_square(rcnn: RcnnLocalizer, batch: LocalizationBatch) -> None:
    nn.init.zeros_(rcnn.deltas.weight)
    logits, boxes = rcnn.judge(batch.images, batch.labels)
    assert logits.shape == (3,)
    assert boxes.tolist() == [[0, 0, 1, 1]] * 3


def test_the_rpn_answers_for_every_anchor_of_any_image_size() -> None:
    model = rpn_localizer()
    found = model.candidates(torch.zeros(2, 64, 96, 3, dtype=torch.uint8), torch.tensor([[0], [2]]))
    assert (found.scores.shape, found.boxes.shape) == ((2, 1, 2 * 3 * 2), (2, 1, 12, 4))


def test_the_rpns_losses_have_the_names_of_every_rpn(batch: LocalizationBatch) -> None:
    model = rpn_localizer()
    losses = model(batch)
    assert list(losses) == ["loss_rpn_objectness", "loss_rpn_box"]
    assert losses["loss_rpn_objectness"].item() == pytest.approx(0.693, abs=0.05)
