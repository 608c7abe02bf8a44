import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
import torch
from torchvision.ops import generalized_box_iou_loss

from detres.boxes import decode_boxes, encode_boxes
from detres.detection.model import losses
from detres.detection.model.losses import BoxLoss, ObjectnessLoss, normalizer
from detres.errors import ConfigError

UNIT = (1.0, 1.0, 1.0, 1.0)
REFERENCES = torch.tensor([[0.0, 0, 10, 10], [0, 0, 4, 4]])
# Offsets of the same boxes are 0, so each number below is an error; one is small and one is large.
DELTAS = torch.tensor([[0.2, 0.0, 0.0, 0.0], [0.0, 2.0, 0.0, 0.0]])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 0.2 + 2.0),
        ({"beta": 1.0}, 0.2**2 / 2 + (2.0 - 0.5)),
        ({"beta": 1.0, "weight": 3.0}, 3 * (0.2**2 / 2 + 1.5)),
        ({"beta": 1.0, "options": {"beta": 4.0}}, (0.2**2 + 2.0**2) / (2 * 4)),
    ],
    ids=["plain L1 is the default", "from beta on", "times its weight", "an option goes before beta"],
)
def test_smooth_l1_by_hand(options: dict[str, Any], expected: float) -> None:
    assert BoxLoss(**options)(DELTAS, REFERENCES, REFERENCES, UNIT).item() == pytest.approx(expected)


def test_by_itself_smooth_l1_is_plain_l1() -> None:
    assert losses.smooth_l1(DELTAS, REFERENCES, REFERENCES, UNIT).item() == pytest.approx(2.2)


def test_offsets_are_compared_in_the_codecs_weights() -> None:
    goals = REFERENCES + torch.tensor([1.0, 0, 1, 0])
    found = BoxLoss()(torch.zeros(2, 4), REFERENCES, goals, (10.0, 10.0, 5.0, 5.0))
    assert found.item() == pytest.approx(10 * (1 / 10 + 1 / 4))


def test_giou_by_hand_knows_no_beta() -> None:
    # A square of 10 and its left half: the IoU is 1/2, and the hull is the square.
    half = torch.tensor([[0.0, 0, 5, 10]])
    loss = BoxLoss("giou", beta=0.5, weight=2.0)
    assert loss(torch.zeros(1, 4), REFERENCES[:1], half, UNIT).item() == pytest.approx(2 * 0.5)
    codec = (10.0, 10.0, 5.0, 5.0)
    assert loss(encode_boxes(half, REFERENCES[:1], codec), REFERENCES[:1], half, codec).item() == pytest.approx(
        0.0, abs=1e-5
    )


def test_giou_and_its_gradient_are_torchvisions() -> None:
    """Boxes that overlap, lie apart, and lie within each other."""
    corner = torch.rand(64, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 60
    boxes = torch.cat([corner, corner.flip(0) * 0.5 + corner + 1], dim=1)
    references = boxes.roll(1, 0)
    gradients = []
    for loss in (BoxLoss("giou"), None):
        deltas = torch.full((64, 4), 0.1, dtype=torch.float64, requires_grad=True)
        decoded = decode_boxes(deltas, references, UNIT)
        theirs = generalized_box_iou_loss(decoded, boxes, reduction="sum")
        total = loss(deltas, references, boxes, UNIT) if loss is not None else theirs
        torch.testing.assert_close(total, theirs)
        total.backward()
        gradients.append(deltas.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("weight", [None, 3.0])
def test_cross_entropy_of_objectness_by_hand(weight: float | None) -> None:
    loss = ObjectnessLoss() if weight is None else ObjectnessLoss(weight=weight)
    found = loss(torch.tensor([2.0, 0.0]), torch.tensor([True, False]))
    assert found.item() == pytest.approx((weight or 1.0) * (math.log(1 + math.exp(-2)) + math.log(2)))


def test_nothing_sampled_costs_nothing_and_has_a_gradient() -> None:
    deltas, logits = torch.zeros(0, 4, requires_grad=True), torch.zeros(0, requires_grad=True)
    for name in ("smooth_l1", "giou"):
        loss = BoxLoss(name)(deltas, torch.zeros(0, 4), torch.zeros(0, 4), UNIT)
        assert (loss.item(), loss.requires_grad) == (0.0, True)
    loss = ObjectnessLoss()(logits, torch.zeros(0, dtype=torch.bool))
    assert (loss.item(), loss.requires_grad) == (0.0, True)


@pytest.mark.parametrize("kind", [BoxLoss, ObjectnessLoss])
def test_a_loss_is_what_it_was_made_of_and_stays_it(kind: type[BoxLoss | ObjectnessLoss]) -> None:
    """The function is found once: a name that changed later would be a lie."""
    assert kind(weight=2.0) == kind(weight=2.0) != kind(weight=3.0)
    assert "function" not in repr(kind())
    with pytest.raises(FrozenInstanceError):
        kind().weight = 2.0


def test_a_refusal_names_the_key_in_the_config() -> None:
    with pytest.raises(ConfigError, match=r"^box_loss: 'l3' is no loss"):
        BoxLoss("l3")
    with pytest.raises(ConfigError, match=r"^model\.rpn\.objectness_loss\.options\.beta is unknown"):
        ObjectnessLoss(options={"beta": 1.0}, where="model.rpn.objectness_loss")


def test_the_constant_normalizer_asks_nothing_of_what_was_sampled() -> None:
    assert normalizer("constant", samples=torch.tensor(7), batch_per_image=64, images=2) == 128.0


@pytest.mark.parametrize(("samples", "expected"), [(7, 7.0), (1, 1.0), (0, 1.0)])
def test_the_sample_normalizer_counts_them_and_never_divides_by_zero(samples: int, expected: float) -> None:
    assert float(normalizer("samples", samples=torch.tensor(samples), batch_per_image=64, images=2)) == expected


def test_samples_of_all_ranks_are_a_share_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """This rank has 10 samples and three others 2 together: each divides by 3, and gradients are averaged over four."""
    monkeypatch.setattr(losses, "sum_over_ranks", lambda samples: samples + 2)
    monkeypatch.setattr(losses, "world_size", lambda: 4)
    assert float(normalizer("samples", samples=torch.tensor(10), batch_per_image=64, images=2)) == 3.0
