from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from detres.config.loading import load_config
from detres.reproduction import estimates
from detres.reproduction.estimates import Estimates, in_words
from detres.reproduction.planning import Plan, Run
from detres.reproduction.rows import Row


def plan(stem: str, folder: Path) -> Plan:
    config = load_config(stem)
    return Plan(Row(stem, (stem,), {}), ((Run(config, config, folder / stem),),))


def test_a_net_that_never_ran_is_scaled_from_the_cheapest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed: list[str] = []

    def seconds_per_image(config: object, device: torch.device) -> float:
        timed.append(config.recipe)
        return 0.001

    monkeypatch.setattr(estimates, "seconds_per_image", seconds_per_image)
    plans = [plan("cifar10_resnet32", tmp_path), plan("cifar10_resnet20", tmp_path)]
    found = Estimates(plans, torch.device("cpu"))
    large, small = (found.seconds_left(each.runs[0]) for each in plans)
    assert small == pytest.approx(64_000 * 128 * 0.001)
    assert large / small == pytest.approx(0.06886 / 0.04055, rel=1e-3)
    assert timed == ["cifar10_resnet20"]


def test_a_run_that_was_begun_is_taken_at_its_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "seconds_per_image", lambda *_: pytest.fail("not to be timed"))
    begun = plan("cifar10_resnet20", tmp_path)
    lines = [{"kind": "train", "step": step, "seconds_per_step": s} for step, s in ((100, 9.0), (200, 0.5), (300, 0.5))]
    begun.runs[0].folder.mkdir()
    (begun.runs[0].folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert Estimates([begun], torch.device("cpu")).seconds_left(begun.runs[0]) == 0.5 * (64_000 - 300)


def test_a_nets_time_is_measured_forward_and_backward() -> None:
    config = load_config("cifar10_plain20", ["training.batch=2"])
    assert 0 < estimates.seconds_per_image(config, torch.device("cpu")) < 10


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "seconds"),
        (60, "about a minute"),
        (180, "about 3 min"),
        (18_000, "about 5 h"),
        (1e6, "about 11.6 days"),
        (1.174e8, "about 1360 days"),
    ],
)
def test_times_are_round(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
