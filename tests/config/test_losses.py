"""A config names losses of the one table, or code, and says what parameters they have."""

from __future__ import annotations

import subprocess
import sys

import pytest

from detres.config.detection_schema import Config, ModelConfig
from detres.config.loading import Layer, read_override, resolve
from detres.config.losses import BoxLossConfig, ObjectnessLossConfig, without_own_losses
from detres.errors import ConfigError


@pytest.mark.parametrize(
    ("override", "said"),
    [
        (
            "model.rpn.box_loss.name=gio",
            r"got 'gio', expected one of smooth_l1, giou, .*or module:callable; did you mean",
        ),
        ("model.rpn.objectness_loss.name=hinge", "got 'hinge', expected one of cross_entropy, .*or module:callable"),
        ("model.roi.box_loss.options.beta=0.1", "beta of smooth_l1 is a key of its own"),
        ("model.roi.box_loss.bta=0.1", r"did you mean model\.roi\.box_loss\.beta"),
    ],
)
def test_what_no_loss_is_called_is_refused_with_the_names(override: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve([read_override(override)])


def test_options_beside_a_name_are_all_of_them_and_others_join() -> None:
    focal = {"model": {"rpn": {"objectness_loss": {"name": "mine:focal", "options": {"gamma": 2.0}}}}}
    mine = Layer("mine", focal, trusted=True)
    same = resolve([mine, read_override("model.rpn.objectness_loss.weight=2")]).model.rpn.objectness_loss
    assert (same.name, same.weight, same.options) == ("mine:focal", 2.0, {"gamma": 2.0})
    key = "model.rpn.objectness_loss"
    # In whatever order: nothing that was said is lost without a word.
    for texts in ([f"{key}.options.alpha=1", f"{key}.name=mine:other"], [f"{key}.name=mine:other"]):
        joined = resolve([mine, *map(read_override, texts)]).model.rpn.objectness_loss
        assert (joined.name, joined.options) == ("mine:other", {"gamma": 2.0} | ({"alpha": 1} if texts[1:] else {}))
    anew = resolve([mine, read_override(f"{key}={{name: mine:other, options: {{}}}}")]).model.rpn.objectness_loss
    assert (anew.name, anew.options) == ("mine:other", {})


def test_losses_that_are_code_are_the_usual_ones_where_nothing_is_trained() -> None:
    own = {"name": "mine:loss", "options": {"a": 1}, "weight": 2.0}
    model = ModelConfig.model_validate({"rpn": {"convs": 2, "objectness_loss": own}, "roi": {"box_loss": own}})
    rest = without_own_losses(model)
    assert (rest.rpn.objectness_loss, rest.roi.box_loss) == (ObjectnessLossConfig(), BoxLossConfig())
    assert rest.rpn.convs == 2
    named = ModelConfig.model_validate({"roi": {"box_loss": {"name": "giou", "weight": 10.0}}})
    assert without_own_losses(named) is named


def test_names_are_checked_without_torch() -> None:
    code = "import sys, detres.config.loading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert Config().model.rpn.objectness_loss.name == "cross_entropy"
