"""A detector with dropout, cut and resumed, ends bit for bit as one that was never cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import detres.tasks.training as training
from detres.backbones.architectures import BACKBONES, VggArchitecture
from detres.checkpoints.reading import load_checkpoint
from detres.config.loading import load_config
from detres.training.running import Run

OVERRIDES = (
    "model.backbone.name=small",
    "model.roi.pool=null",
    "training.steps=4",
    "training.per_device_batch=1",
    "training.checkpoint_every=2",
    "data.test=[]",
)


def register(monkeypatch: pytest.MonkeyPatch, dropout: float) -> None:
    net = VggArchitecture((1, 1, 1, 1, 1), (8, 8, 8, 8, 8), fc_channels=16, dropout=dropout)
    monkeypatch.setitem(BACKBONES, "small", net)


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(run / "checkpoints/last").tensors


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs end in an error when the second micro-batch of the step behind this one is asked for."""
    run_training = training.run_training

    def cut(run: Run, *parts: Any, **options: Any) -> Any:
        *others, batches_from = parts

        def cut_short(start: int) -> Iterator[Any]:
            batches = batches_from(start)
            for _ in range((step - start) * run.accumulate + 1):
                yield next(batches)
            raise OSError("the power is gone")

        return run_training(run, *others, cut_short, **options)

    monkeypatch.setattr(training, "run_training", cut)


@pytest.mark.slow
def test_dropout_draws_the_same_in_a_resumed_run(
    tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None
) -> None:
    config = load_config(tiny.cfg, OVERRIDES)
    register(monkeypatch, dropout=0.5)
    training.train(config, tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch:
        cut_at(3, patch)
        with pytest.raises(OSError, match="the power is gone"):
            training.train(config, tmp_path / "cut", device="cpu")
    torch.manual_seed(99)  # Nothing depends on where the global generator stands.
    training.train(config, tmp_path / "cut", resume=True, device="cpu")
    whole, cut = weights_of(tmp_path / "whole"), weights_of(tmp_path / "cut")
    assert all(torch.equal(tensor, cut[name]) for name, tensor in whole.items())

    register(monkeypatch, dropout=0.0)
    training.train(config, tmp_path / "without", device="cpu")
    without = weights_of(tmp_path / "without")
    assert not torch.equal(without["roi.head.fc7.weight"], whole["roi.head.fc7.weight"]), "nothing was dropped"
