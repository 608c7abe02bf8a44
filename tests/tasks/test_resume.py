"""A run that is cut by kill -9 and goes on ends bit for bit as one that was never cut: a detector's, a classifier's."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch

from detres.checkpoints.reading import load_checkpoint
from detres.config.loading import load_config
from detres.tasks.training import train

# Every source of a difference at once: drawn sizes and pictures, moving statistics, averaged weights, two micro-batches
# a step, a rate that moves.
VARIED = (
    "training.steps=20",
    "training.per_device_batch=1",
    "training.checkpoint_every=12",
    "training.ema=0.9",
    "model.backbone.norm=batch",
    "schedule.name=cosine",
    "data.test=[]",
    "data.shortest_side=[48, 64]",
    "data.augment=[{HorizontalFlip: {p: 0.5}}, {RandomBrightnessContrast: {p: 0.9}}, {GaussNoise: {p: 0.5}}]",
)

# The same of a classifier, with what it has besides: mixing, dropped blocks, statistics counted anew at the end, a rate
# that looks at the evaluations.
CLASSIFIER = (
    "training.steps=20",
    "training.per_device_batch=2",
    "training.checkpoint_every=12",
    "training.eval_every=5",
    "training.ema=0.9",
    "training.recompute_norms=10",
    "model.drop_path=0.3",
    "loss.mixup=0.2",
    "loss.cutmix=1.0",
    "loss.smoothing=0.1",
    "data.pca_lighting=0.1",
    "schedule.name=plateau",
    "schedule.patience=1",
    "schedule.threshold=0.5",
)
READ_BY_WORKERS = ("data.cropping=area", "data.randaugment=rand-m7-mstd0.5-inc1", "data.repeats=2", "loss.name=bce")


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(value, dict | list | tuple):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {key: leaf for name, part in items for key, leaf in leaves(part, f"{path}/{name}").items()}


def losses(run: Path) -> list[tuple[int, float, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(line["step"], line["loss"], line["lr"]) for line in lines if line["kind"] == "train"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "varied"),
    [("tiny", VARIED), ("tiny_classes", CLASSIFIER), ("tiny_classes", CLASSIFIER + READ_BY_WORKERS)],
    ids=["detector", "classifier on the device", "classifier by workers"],
)
def test_a_killed_run_goes_on_bit_for_bit_whatever_the_workers(
    task: str,
    varied: tuple[str, ...],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    run_python: Callable[..., CompletedProcess[str]],
    one_thread: None,
) -> None:
    tiny, whole, cut = request.getfixturevalue(task), tmp_path / "whole", tmp_path / "cut"
    train(load_config(tiny.cfg, varied), whole, device="cpu")

    killed = run_python(Path(__file__).with_name("killed_run.py"), tiny.cfg, cut, 14, *varied, "data.workers=2")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert load_checkpoint(cut / "checkpoints/last").trainer["step"] == 12
    train(load_config(tiny.cfg, [*varied, "data.workers=2"]), cut, resume=True, device="cpu")

    one, other = (load_checkpoint(run / "checkpoints/last") for run in (whole, cut))
    assert one.trainer["step"] == other.trainer["step"] == 20
    assert one.metadata == other.metadata
    for mine, theirs in ((one.tensors, other.tensors), (leaves(one.trainer), leaves(other.trainer))):
        assert mine.keys() == theirs.keys()
        for name, value in mine.items():
            same = torch.equal(value, theirs[name]) if isinstance(value, torch.Tensor) else value == theirs[name]
            assert same, name
    assert losses(whole) == losses(cut)
    assert [step for step, *_ in losses(cut)] == list(range(1, 21))
    averaged = any(not torch.equal(one.tensors[name], raw) for name, raw in one.trainer["raw"].items())
    assert averaged, "the averages are the weights: nothing was compared"
