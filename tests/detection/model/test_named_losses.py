"""Losses come by name, and those of people's own are as good as the house's, or refused before anything is trained."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from detres.boxes import decode_boxes, encode_boxes
from detres.config.loading import Layer, resolve
from detres.detection.model.losses import BoxLoss, ObjectnessLoss
from detres.detection.model.named_losses import find_box_loss, find_objectness_loss
from detres.errors import ConfigError
from detres.structures import DetectionBatch, DetectionTarget
from detres.tables import BOX_LOSSES, OBJECTNESS_LOSSES
from detres.tasks.detection.models import build_detector

TOYS = '''
import torch
import torch.nn.functional as F
from detres.boxes import box_iou, decode_boxes


def focal(logits, is_object, *, gamma, alpha=0.25):
    """Lin et al. 2017, equation 5."""
    share = torch.where(is_object > 0, alpha, 1 - alpha)
    right = torch.where(is_object > 0, logits.sigmoid(), 1 - logits.sigmoid())
    plain = F.binary_cross_entropy_with_logits(logits, is_object, reduction="none")
    return (share * (1 - right) ** gamma * plain).sum()


def diou(deltas, references, boxes, codec_weights):
    """Zheng et al. 2020, equation 7."""
    found = decode_boxes(deltas, references, codec_weights)
    apart = (found[:, :2] + found[:, 2:] - boxes[:, :2] - boxes[:, 2:]).square().sum(dim=1) / 4
    around = torch.maximum(found[:, 2:], boxes[:, 2:]) - torch.minimum(found[:, :2], boxes[:, :2])
    return (1 - box_iou(found, boxes).diagonal() + apart / around.square().sum(dim=1)).sum()


def broken(deltas, references, boxes, codec_weights):
    return deltas.nosuch


def mean(deltas, references, boxes, codec_weights):
    return (deltas - boxes).abs().mean()


def rows(logits, is_object):
    return logits - is_object


def constant(logits, is_object):
    return torch.tensor(1.0)


def two(logits):
    return logits.sum()


value = 3
'''


@pytest.fixture
def toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module of the user's, beside the package."""
    (tmp_path / "toy_losses.py").write_text(TOYS)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "toy_losses", raising=False)
    return "toy_losses"


@pytest.mark.parametrize(("table", "find"), [(BOX_LOSSES, find_box_loss), (OBJECTNESS_LOSSES, find_objectness_loss)])
def test_every_name_of_the_tables_is_a_loss(table: Mapping[str, str], find: Callable[..., Any]) -> None:
    for name in table:
        assert callable(find(name, {}, "here"))


def batch() -> DetectionBatch:
    generator = torch.Generator().manual_seed(0)
    target = DetectionTarget(
        torch.tensor([[8.0, 8, 40, 44], [30, 10, 60, 60]]), torch.tensor([0, 1]), torch.zeros(2, dtype=torch.bool)
    )
    size = torch.tensor([[64, 64]])
    images = torch.randint(0, 256, (1, 64, 64, 3), generator=generator, dtype=torch.uint8)
    return DetectionBatch(images, size, size, (0,), (target,), torch.tensor([5]))


@pytest.mark.slow
def test_a_focal_and_a_diou_loss_from_outside_train_a_detector(toys: str) -> None:
    model = {
        "layout": "c4",
        "class_names": ["a", "b"],
        "backbone": {"name": "resnet18"},
        "rpn": {"objectness_loss": {"name": f"{toys}:focal", "options": {"gamma": 2.0}, "weight": 2.0}},
        "roi": {"box_loss": {"name": f"{toys}:diou"}, "positive_iou": 0.3},
    }
    detector = build_detector(resolve([Layer("mine", {"model": model}, trusted=True)])).train()
    usual = build_detector(resolve([Layer("mine", {"model": model | {"rpn": {}, "roi": {"positive_iou": 0.3}}})]))
    before, others = detector(batch()), usual.train()(batch())
    # At a chance of one half, 0.5² of the cross-entropy counts, a quarter of it for objects, three for others; twice.
    share = (before["loss_rpn_objectness"] / others["loss_rpn_objectness"]).item()
    assert 2 * 0.25 * 0.25 * 0.9 < share < 2 * 0.25 * 0.75 * 1.1
    assert torch.equal(before["loss_rpn_box"], others["loss_rpn_box"])
    assert before["loss_roi_box"].item() > 0 != others["loss_roi_box"].item()
    optimizer = torch.optim.SGD(detector.parameters(), lr=1e-3)
    sum(before.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in detector.rpn.objectness.parameters())
    assert detector.roi.deltas.weight.grad.abs().sum() > 0
    optimizer.step()
    assert sum(detector(batch()).values()).item() < sum(before.values()).item()


def test_a_loss_on_decoded_boxes_is_given_all_it_needs(toys: str) -> None:
    anchors, codec = torch.tensor([[0.0, 0, 10, 10]]), (10.0, 10.0, 5.0, 5.0)
    goal = torch.tensor([[10.0, 0, 20, 10]])
    loss = BoxLoss(f"{toys}:diou", weight=3.0)
    # Side by side: no overlap, centres 10 apart in a frame of 20 by 10.
    assert loss(torch.zeros(1, 4), anchors, goal, codec).item() == pytest.approx(3 * (1 + 100 / 500))
    assert loss(encode_boxes(goal, anchors, codec), anchors, goal, codec).item() == pytest.approx(0, abs=1e-5)


def test_the_house_s_own_are_what_they_were() -> None:
    deltas, anchors = torch.tensor([[0.5, 0.0, -0.2, 0.0]]), torch.tensor([[0.0, 0, 10, 10]])
    boxes = decode_boxes(torch.zeros(1, 4), anchors)
    assert BoxLoss("smooth_l1", beta=0.4)(deltas, anchors, boxes, (1, 1, 1, 1)).item() == pytest.approx(0.3 + 0.05)
    logits, is_object = torch.tensor([0.0, 2.0]), torch.tensor([True, False])
    expected = math.log(2) + math.log(1 + math.exp(2))
    assert ObjectnessLoss(weight=2.0)(logits, is_object).item() == pytest.approx(2 * expected)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("broken", {}, r"here: toy_losses:broken called with 2 rows raised AttributeError.*toy_losses\.py:\d+"),
        ("mean", {}, "called with 0 rows returned nan; expected a sum over the rows"),
        ("diou", {"gama": 1}, r"here\.options\.gama is unknown; toy_losses:diou takes none"),
        ("nosuch", {}, "here: toy_losses:nosuch cannot be imported"),
        ("value", {}, "here: toy_losses:value is an int, expected a function"),
    ],
)
def test_a_box_loss_that_cannot_be_trained_by_is_told_first(
    toys: str, name: str, options: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        find_box_loss(f"{toys}:{name}", options, "here")


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("focal", {}, "called with 2 arguments and its options: missing a required argument: 'gamma'"),
        ("focal", {"gama": 1}, r"here\.options\.gama is unknown; did you mean gamma\?"),
        ("rows", {}, r"called with 2 rows returned Tensor\[2\]; expected a sum"),
        ("constant", {}, "returned 1.0; expected a sum over the rows: a finite scalar with a gradient"),
        ("two", {}, "called with 2 arguments and its options: too many positional"),
    ],
)
def test_an_objectness_loss_that_cannot_be_trained_by_is_told_first(
    toys: str, name: str, options: Mapping[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        find_objectness_loss(f"{toys}:{name}", options, "here")


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"'iou' is no loss; there are smooth_l1, giou.* and module:callable"):
        BoxLoss("iou")
