"""A schedule is one function and one line: it has a parameter of its own, and is exact when a run goes on."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import detres
from detres.checkpoints.reading import load_checkpoint
from detres.errors import ConfigError
from detres.tables import SCHEDULES
from detres.tasks.runs.assembly import schedule_of
from detres.training.schedules import Rates

NAMED = ["schedule.name=warmup_stable_decay"]


@pytest.fixture(autouse=True)
def warmup_stable_decay(contribute: Any) -> None:
    contribute("warmup_stable_decay", "warmup_stable_decay", SCHEDULES)


def test_the_rate_by_hand() -> None:
    rates = Rates(0.1, 100, warmup_steps=10, warmup_factor=0.2)
    schedule = SCHEDULES["warmup_stable_decay"](rates, decay_share=0.25, end_factor=0.1)
    expected = {0: 0.02, 5: 0.06, 10: 0.1, 75: 0.1, 80: 0.1 * (0.1 + 0.9 * 0.8), 100: 0.01, 120: 0.01}
    assert {step: schedule.lr_at(step) for step in expected} == pytest.approx(expected)


def test_a_config_states_the_parameter_as_an_option(tiny_classes: Any) -> None:
    keys = [*NAMED, "schedule.options.decay_share=0.5", "schedule.end_factor=0.5", "training.steps=8"]
    config = detres.load_config(tiny_classes.cfg, keys)
    assert schedule_of(config).lr_at(6) == pytest.approx(0.75 * config.optimizer.lr)
    for option, said in (("decay_share=2", "decay_share is 2; it takes a share"), ("decay_shar=0.5", "no such param")):
        with pytest.raises(ConfigError, match=said):
            schedule_of(detres.load_config(tiny_classes.cfg, [*NAMED, f"schedule.options.{option}"]))
    with pytest.raises(ConfigError, match=r"gamma changes nothing here: schedule\.name is warmup_stable_decay"):
        detres.load_config(tiny_classes.cfg, [*NAMED, "schedule.gamma=0.5"])


@pytest.mark.slow
def test_a_run_that_goes_on_within_the_decay_ends_bit_for_bit(
    tiny_classes: Any, tmp_path: Path, one_thread: None
) -> None:
    keys = [*NAMED, "schedule.options.decay_share=0.75", "schedule.warmup_steps=1", "training.steps=4"]
    config = detres.load_config(tiny_classes.cfg, [*keys, "training.keep_every=2"])
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    detres.train(config, out=whole, device="cpu")
    shutil.copytree(whole / "checkpoints" / "step_00000002", cut / "checkpoints" / "last")
    detres.train(config, out=cut, resume=True, device="cpu")
    one, other = (load_checkpoint(run / "checkpoints" / "last") for run in (whole, cut))
    assert other.trainer["step"] == 4
    assert all(torch.equal(other.tensors[name], tensor) for name, tensor in one.tensors.items())
