"""Whole runs on a device, as a user starts them: training, evaluation, checkpoints and what goes on from them."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from detres.benchmarks.scenes import Scene
from detres.checkpoints.reading import load_checkpoint
from detres.commands.main import main
from detres.config.loading import load_config
from detres.tasks.detection.models import build_detector
from detres.tasks.runs.assembly import schedule_of
from detres.training.ema import MovingAverage
from detres.training.loop import StepReport, train_steps
from detres.training.optimizers import build_optimizer
from detres.training.run_state import RunState
from tests.gpu.conftest import WaitsAtMost
from tests.gpu.steps import same_state

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

BATCH = Scene("resnet18", 64, 96, images=2, classes=3, objects=2).batch()
SHORT = ("training.steps=6", "training.keep_every=3", "training.eval_every=3", "training.ema=0.5")
# What is drawn for a step depends on the step alone, and so does what is left out of a picture's path to the device.
CLASSIFIER = ("data.pca_lighting=0.1", "loss.mixup=0.2", "loss.cutmix=1.0", "data.repeats=2")


class Learner:
    """A detector that is learning, with averages, on a device."""

    def __init__(self, tiny: Any, device: torch.device) -> None:
        # Every proposal is learned from: of two whose scores differ by a rounding, either may come first.
        all_of_them = ("model.roi.batch_per_image=64", "model.roi.positive_fraction=1.0")
        self.config = load_config(tiny.cfg, all_of_them)
        self.model: nn.Module = build_detector(self.config, ["disc", "square"])
        self.model.to(device, memory_format=torch.channels_last)
        self.device, self.optimizer = device, build_optimizer(self.model, lr=1e-3)
        self.ema = MovingAverage(self.model, 0.9)
        self.state = RunState(self.model, self.optimizer, schedule_of(self.config), self.ema)

    def steps(self, count: int) -> Iterator[StepReport]:
        batches, options = itertools.repeat(BATCH), {"device": self.device, "ema": self.ema}
        return train_steps(
            self.model, batches, self.optimizer, lambda _: 1e-3, steps=count, due=lambda _: False, **options
        )

    def momenta(self) -> dict[str, torch.Tensor]:
        kept = self.optimizer.state_dict()["state"]
        return {f"{place}": values["momentum_buffer"] for place, values in kept.items()}


def test_a_state_comes_back_from_a_checkpoint_bit_for_bit(tiny: Any, device: torch.device, run_folder: Path) -> None:
    first, second = Learner(tiny, device), Learner(tiny, device)
    list(first.steps(2))
    list(second.steps(1))
    first.state.save(run_folder, {})
    second.state.restore(load_checkpoint(run_folder))
    same_state(first.model.state_dict(), second.model.state_dict())
    same_state(first.ema.state_dict(), second.ema.state_dict())
    same_state(first.momenta(), second.momenta())
    assert {tensor.device for tensor in second.momenta().values()} == {device}


def test_averages_are_those_of_a_cpu_and_cost_no_wait(
    tiny: Any, device: torch.device, waits_at_most: WaitsAtMost
) -> None:
    here, there = Learner(tiny, torch.device("cpu")), Learner(tiny, device)
    list(here.steps(3))
    steps = there.steps(3)
    next(steps)
    with waits_at_most(6):
        next(steps)
    list(steps)
    for name, average in here.ema.state_dict().items():
        torch.testing.assert_close(there.ema.state_dict()[name].cpu(), average, rtol=1e-3, atol=1e-5, msg=name)
    raw = {name: tensor.clone() for name, tensor in there.model.state_dict().items()}
    with there.ema.applied():
        same_state(there.ema.state_dict(), {n: there.model.state_dict()[n] for n in there.ema.state_dict()})
    same_state(raw, there.model.state_dict())


@pytest.mark.parametrize("task", ["tiny", "tiny_classes"])
def test_a_run_that_goes_on_ends_as_one_that_was_not_cut(
    task: str, request: pytest.FixtureRequest, device: torch.device, pretence: Any, tmp_path: Path, one_thread: None
) -> None:
    """To the last bit where sums have an order; atomic additions have none, and then it begins with the same loss."""
    cfg, command = request.getfixturevalue(task).cfg, "train_det" if task == "tiny" else "train_cls"
    overrides = SHORT if task == "tiny" else (*SHORT, *CLASSIFIER)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train = (command, "--device", str(device))
    assert main([*train, "--cfg", str(cfg), "--out", str(whole), *overrides]) == 0
    shutil.copytree(whole / "checkpoints/step_00000003", cut / "checkpoints/last")
    shutil.copy(whole / "config.yaml", cut)
    assert main([*train, "--out", str(cut), "--resume"]) == 0
    one, other = (lines_of(run)[-3:] for run in (whole, cut))
    assert [line["step"] for line in one] == [line["step"] for line in other] == [4, 5, 6]
    assert other[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-4)
    if pretence:
        same_state(*(load_checkpoint(run / "checkpoints/last").tensors for run in (whole, cut)))
        assert [line["loss"] for line in one] == [line["loss"] for line in other]
    shutil.rmtree(tmp_path)


def lines_of(run: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == "train"]


@pytest.mark.parametrize("test", [(), ("test.refine=1", "test.scales=[64,96]"), ("test.flip=true",)])
def test_an_evaluation_measures_what_it_measures_on_a_cpu(
    test: tuple[str, ...], trained: Path, device: torch.device, tmp_path: Path
) -> None:
    here, there = (evaluated("eval_det", trained, on, tmp_path / on[:3], test) for on in ("cpu", str(device)))
    assert here["mAP50"] > 0.3, "what is measured is too little to compare"
    for metric in ("AP", "AP50", "mAP50", "AR100"):
        assert there[metric] == pytest.approx(here[metric], abs=0.02), metric


def test_a_classifier_errs_as_on_a_cpu(trained_classifier: Path, device: torch.device, tmp_path: Path) -> None:
    here, there = (evaluated("eval_cls", trained_classifier, on, tmp_path / on[:3], ()) for on in ("cpu", str(device)))
    assert here["top1_error"] == there["top1_error"] < 0.4


def evaluated(command: str, run: Path, device: str, out: Path, overrides: tuple[str, ...]) -> dict[str, Any]:
    assert main([command, "--weights", str(run), "--device", device, "--out", str(out), *overrides]) == 0
    return json.loads((out / "metrics.json").read_text())
