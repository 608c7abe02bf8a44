"""N images, A anchors a cell, K classes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from detres.boxes import decode_boxes, encode_boxes
from detres.detection.model.anchors import AnchorGrid
from detres.localization.class_rpn import ClassRPN
from detres.localization.per_class import PerClassLinear
from detres.structures import DetectionTarget

CLASSES, CHANNELS, CELLS = 3, 4, 3


@pytest.fixture
def rpn() -> ClassRPN:
    torch.manual_seed(0)
    made = ClassRPN(5, 2, CLASSES, channels=CHANNELS).double()
    for layer in (made.logits, made.deltas):
        torch.nn.init.normal_(layer.weight)
        torch.nn.init.normal_(layer.bias)
    return made


@pytest.fixture
def anchors() -> Tensor:
    grid = AnchorGrid([[16.0, 32.0]], [16], ratios=[1.0])
    return grid([torch.zeros(1, 1, CELLS, CELLS)], (48, 48))[0].double()


def target(label: int, *boxes: list[float]) -> DetectionTarget:
    count = len(boxes)
    return DetectionTarget(
        torch.tensor(boxes, dtype=torch.float64).reshape(-1, 4),
        torch.full((count,), label),
        torch.zeros(count, dtype=torch.bool),
    )


def whole_maps(rpn: ClassRPN, features: Tensor) -> tuple[Tensor, Tensor]:
    """What convolutions of K·A and 4·K·A channels would give: (N, T, K) and (N, T, K, 4), the anchors cell by cell."""
    logits = torch.nn.functional.conv2d(features, rpn.logits.weight.reshape(-1, CHANNELS, 1, 1))
    deltas = torch.nn.functional.conv2d(features, rpn.deltas.weight.reshape(-1, CHANNELS, 1, 1))
    logits = logits + rpn.logits.bias.reshape(-1, 1, 1)
    deltas = deltas + rpn.deltas.bias.reshape(-1, 1, 1)
    count = len(features)
    logits = logits.view(count, CLASSES, 2, CELLS, CELLS).permute(0, 3, 4, 2, 1).reshape(count, -1, CLASSES)
    deltas = deltas.view(count, CLASSES, 2, 4, CELLS, CELLS).permute(0, 4, 5, 2, 1, 3).reshape(count, -1, CLASSES, 4)
    return logits, deltas


def test_a_layer_of_rows_is_the_whole_layer_where_it_is_asked_for() -> None:
    layer = PerClassLinear(4, 6, 2)
    features, rows = torch.randn(5, 4), torch.tensor([0, 5, 3, 3, 1])
    whole = torch.einsum("mc,rwc->mrw", features, layer.weight) + layer.bias
    torch.testing.assert_close(layer(features, rows), whole[torch.arange(5), rows])
    assert layer(features[:0], rows[:0]).shape == (0, 2)


def test_candidates_are_those_of_whole_maps(rpn: ClassRPN, anchors: Tensor) -> None:
    features = rpn(torch.randn(2, 5, CELLS, CELLS, dtype=torch.float64))
    classes = torch.tensor([[2, 0], [1, 1]])
    found = rpn.candidates(features, anchors, classes)
    logits, deltas = whole_maps(rpn, features)
    for image, asked in enumerate(classes.tolist()):
        for place, label in enumerate(asked):
            torch.testing.assert_close(found.scores[image, place], logits[image, :, label])
            boxes = decode_boxes(deltas[image, :, label], anchors)
            torch.testing.assert_close(found.boxes[image, place], boxes)


def test_losses_are_those_of_whole_maps_and_an_image_teaches_its_own_class_alone(
    rpn: ClassRPN, anchors: Tensor
) -> None:
    features = rpn(torch.randn(2, 5, CELLS, CELLS, dtype=torch.float64)).detach()
    labels, targets = torch.tensor([2, 1]), [target(2, [3.0, 3, 20, 22]), target(1)]
    samples = rpn.sample(anchors, targets, torch.tensor([5, 9]))
    losses = rpn.losses(features, anchors, labels, targets, samples)
    logits, deltas = whole_maps(rpn, features)
    objectness, box = 0.0, 0.0
    for image, (label, sample) in enumerate(zip(labels.tolist(), samples, strict=True)):
        for index, matched in zip(sample.index.tolist(), sample.matched.tolist(), strict=True):
            goal = torch.tensor(float(matched >= 0), dtype=torch.float64)
            objectness += torch.nn.functional.binary_cross_entropy_with_logits(logits[image, index, label], goal)
            if matched >= 0:
                goals = encode_boxes(targets[image].boxes[matched][None], anchors[index][None])[0]
                box += (deltas[image, index, label] - goals).abs().sum()
    assert any((sample.matched >= 0).any() for sample in samples)
    torch.testing.assert_close(losses["loss_rpn_objectness"], objectness / 16)
    torch.testing.assert_close(losses["loss_rpn_box"], box / 16)
    sum(losses.values()).backward()
    learned = rpn.logits.weight.grad.abs().sum(dim=(1, 2)).reshape(CLASSES, 2).sum(dim=1) > 0
    assert learned.tolist() == [False, True, True]


def test_eight_anchors_an_image_of_which_half_are_positive_where_there_are_as_many(rpn: ClassRPN) -> None:
    grid = AnchorGrid([[16.0, 32.0]], [4], ratios=[1.0])
    anchors = grid([torch.zeros(1, 1, 12, 12)], (48, 48))[0].double()
    (many,) = rpn.sample(anchors, [target(0, [8.0, 8, 40, 40])], torch.tensor([1]))
    assert (len(many.index), int(many.positive.sum())) == (8, 4)
    (none,) = rpn.sample(anchors, [target(0)], torch.tensor([1]))
    assert (len(none.index), int(none.positive.sum())) == (8, 0)


def test_a_batch_without_objects_has_no_box_loss(rpn: ClassRPN, anchors: Tensor) -> None:
    features = rpn(torch.randn(1, 5, CELLS, CELLS, dtype=torch.float64))
    samples = rpn.sample(anchors, [target(0)], torch.tensor([5]))
    losses = rpn.losses(features, anchors, torch.tensor([0]), [target(0)], samples)
    assert losses["loss_rpn_box"] == 0.0
    assert losses["loss_rpn_objectness"] > 0.0
