"""A loss is one function and one line: it is chosen by name, and trains a detector that its file rebuilds."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torchvision.ops import sigmoid_focal_loss

import detres
from detres.boxes import encode_boxes
from detres.detection.model.losses import BoxLoss, ObjectnessLoss
from detres.errors import ConfigError
from detres.tables import BOX_LOSSES, OBJECTNESS_LOSSES

PLAIN = (1.0, 1.0, 1.0, 1.0)


@pytest.fixture(autouse=True)
def losses(contribute: Any) -> None:
    contribute("diou_and_focal", "diou", BOX_LOSSES)
    contribute("diou_and_focal", "focal", OBJECTNESS_LOSSES)


def test_diou_by_hand() -> None:
    anchors, boxes = (
        torch.tensor([[0.0, 0, 10, 10]] * 3),
        torch.tensor([[0.0, 0, 10, 10], [5, 0, 15, 10], [6, 8, 16, 18]]),
    )
    # Shares of the union 1, 50 / 150 and 8 / 192; centres 0, 25 and 100 apart, squared, of diagonals 325 and 580.
    expected = 0 + (1 - 1 / 3 + 25 / 325) + (1 - 8 / 192 + 100 / 580)
    loss = BoxLoss("diou")(torch.zeros(3, 4), anchors, boxes, PLAIN)
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    reached = BoxLoss("diou")(encode_boxes(boxes, anchors, PLAIN), anchors, boxes, PLAIN)
    assert reached.item() == pytest.approx(0.0, abs=1e-5)
    assert BoxLoss("diou")(torch.zeros(0, 4), torch.zeros(0, 4), torch.zeros(0, 4), PLAIN).item() == 0


@pytest.mark.parametrize("options", [{}, {"alpha": 0.5, "gamma": 1.5}])
def test_focal_is_torchvisions(options: dict[str, float]) -> None:
    logits = torch.tensor([-3.0, 0.0, 0.5, 4.0])
    is_object = torch.tensor([False, True, False, True])
    expected = sigmoid_focal_loss(logits, is_object.float(), **options, reduction="sum")
    torch.testing.assert_close(ObjectnessLoss("focal", options=options)(logits, is_object), expected)
    assert ObjectnessLoss("focal")(torch.zeros(0), torch.zeros(0, dtype=torch.bool)).item() == 0


def test_names_and_options_are_checked_as_the_houses_own(tiny: Any) -> None:
    with pytest.raises(
        ConfigError, match="expected one of smooth_l1, giou, diou, or module:callable; did you mean diou"
    ):
        detres.load_config(tiny.cfg, ["model.roi.box_loss.name=dio"])
    with pytest.raises(ConfigError, match=r"beta changes nothing here: model\.roi\.box_loss\.name is diou"):
        detres.load_config(tiny.cfg, ["model.roi.box_loss.name=diou", "model.roi.box_loss.beta=0.1"])
    with pytest.raises(ConfigError, match=r"objectness_loss\.options\.gama is unknown; did you mean gamma\?"):
        ObjectnessLoss("focal", options={"gama": 1.0}, where="model.rpn.objectness_loss")


@pytest.mark.slow
def test_a_detector_learns_by_them_and_its_file_knows_them(tiny: Any, run_folder: Any) -> None:
    keys = ["model.roi.box_loss.name=diou", "model.rpn.box_loss.name=diou", "model.rpn.objectness_loss.name=focal"]
    config = detres.load_config(tiny.cfg, [*keys, "model.rpn.objectness_loss.options.gamma=1.5", "training.steps=1"])
    run = detres.train(config, out=run_folder, device="cpu")
    model = detres.Detector.from_checkpoint(run, device="cpu").model
    assert (model.roi.box_loss.name, model.rpn.objectness_loss.name) == ("diou", "focal")
    assert model.rpn.objectness_loss.options == {"gamma": 1.5}
    assert 0 <= detres.evaluate(run, device="cpu")["mAP50"] <= 1
