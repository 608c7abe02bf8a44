"""training.compile changes how a step is computed, not what it learns, what is saved or what is evaluated."""

from __future__ import annotations

import json
from functools import partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from detres.config.loading import load_config
from detres.detection.detector_files import load_detector
from detres.experiments.training import train
from detres.training.checkpoints import load_checkpoint

STEPS = ("training.steps=2", "training.eval_every=2", "training.ema=0.5", "data.test=[]", "data.val=[test]")


@pytest.fixture
def compiled_frames(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What was captured, by torch's count; what a C++ compiler would be started for is run as it was captured."""
    import torch._dynamo.utils

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    yield torch._dynamo.utils.counters["frames"]
    torch._dynamo.reset()


def evaluated(run: Path) -> dict[str, float]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return next(line for line in lines if line["kind"] == "eval")


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["c4", "fpn"])
def test_a_compiled_run_learns_saves_and_evaluates_what_another_does(
    layout: str, tiny: Any, tmp_path: Path, compiled_frames: Any, one_thread: None
) -> None:
    chosen = [*STEPS, f"model.layout={layout}"]
    if layout == "fpn":
        chosen += ["model.anchors.sizes=null", "model.fpn.channels=32", "model.roi.head_fc_channels=32"]
    train(load_config(tiny.cfg, chosen), tmp_path / "eager", device="cpu")
    assert not compiled_frames
    train(load_config(tiny.cfg, [*chosen, "training.compile=true"]), tmp_path / "compiled", device="cpu")
    assert compiled_frames["ok"] > 0

    plain, compiled = (load_checkpoint(tmp_path / name / "checkpoints/last") for name in ("eager", "compiled"))
    assert compiled.trainer["step"] == 2
    assert plain.tensors.keys() == compiled.tensors.keys()
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(compiled.tensors[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    one, other = (evaluated(tmp_path / name) for name in ("eager", "compiled"))
    assert one.keys() == other.keys()
    assert load_detector(tmp_path / "compiled/checkpoints/last/model.safetensors")[0].class_names == ("disc", "square")
