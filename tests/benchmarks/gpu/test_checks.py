"""A check fails where the sides differ, and where there is nothing to compare."""

import torch

from detres.benchmarks.gpu import checks
from detres.benchmarks.gpu.checks import check_step, same_boxes
from detres.benchmarks.scenes import Scene

BOXES = torch.tensor([[0.0, 0.0, 4.0, 4.0], [1.0, 1.0, 9.0, 9.0]])


def test_the_same_boxes_in_another_order_are_the_same() -> None:
    assert same_boxes([BOXES, BOXES[:1]], [BOXES.flip(0), BOXES[:1]]).passed


def test_a_box_of_one_side_alone_is_told() -> None:
    check = same_boxes([BOXES], [BOXES[:1]])
    assert not check.passed
    assert check.what == "1 boxes kept by torchvision, 1 by one side alone"


def test_nothing_is_no_agreement() -> None:
    assert not same_boxes([BOXES[:0]], [BOXES[:0]]).passed


def test_losses_of_two_devices_are_compared_one_by_one(monkeypatch) -> None:
    here, there = {"loss": 2.0, "loss_rpn_box": 1.0}, {"loss": 2.01, "loss_rpn_box": 1.0}
    cuda = torch.device("cuda")
    monkeypatch.setattr(checks, "_first_losses", lambda scene, device: here if device == cuda else there)
    assert check_step(Scene(), cuda).passed
    for other in (1.01, float("nan")):
        here["loss_rpn_box"] = other
        assert not check_step(Scene(), cuda).passed


def test_proposals_may_be_drawn_otherwise_where_one_moves(monkeypatch) -> None:
    here, there = {"loss_roi_box": 1.1, "loss_rpn_box": 1.0}, {"loss_roi_box": 1.0, "loss_rpn_box": 1.0}
    cuda = torch.device("cuda")
    monkeypatch.setattr(checks, "_first_losses", lambda scene, device: here if device == cuda else there)
    assert check_step(Scene(), cuda).passed
    here["loss_roi_box"] = 2.0
    assert not check_step(Scene(), cuda).passed
