"""training.compile changes how a step is computed, not what it learns, what is saved or what is evaluated."""

from __future__ import annotations

import json
import shutil
from functools import partial, partialmethod
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from detres.checkpoints.reading import load_checkpoint
from detres.classification.files import ClassifierSettings
from detres.config.loading import load_config
from detres.detection.files import DetectorSettings
from detres.tasks.training import train

# With all that calls the compiled net otherwise than a training step: averages, evaluations, statistics counted anew.
CLASSIFIER = (
    *("training.steps=4", "training.eval_every=2", "training.keep_every=2"),
    *("training.ema=0.5", "training.recompute_norms=8"),
)
STEPS = ("training.steps=2", "training.eval_every=2", "training.ema=0.5", "data.test=[]", "data.val=[test]")


@pytest.fixture
def compiled_frames(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What was captured, by torch's count; what a C++ compiler would be started for is run as it was captured."""
    import torch._dynamo.utils

    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(nn.Module, "compile", partialmethod(nn.Module.compile, backend="aot_eager"))
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    yield torch._dynamo.utils.counters["frames"]
    torch._dynamo.reset()


def lines_of(run: Path, kind: str) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


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
    one, other = (lines_of(tmp_path / name, "eval")[0] for name in ("eager", "compiled"))
    assert one.keys() == other.keys()
    file = tmp_path / "compiled/checkpoints/last/model.safetensors"
    assert DetectorSettings.load(file)[0].class_names == ("disc", "square")


@pytest.mark.slow
def test_a_compiled_classifier_learns_saves_and_evaluates_what_another_does_and_resumes(
    tiny_classes: Any, tmp_path: Path, compiled_frames: Any, one_thread: None
) -> None:
    eager, compiled, cut = (tmp_path / name for name in ("eager", "compiled", "cut"))
    train(load_config(tiny_classes.cfg, CLASSIFIER), eager, device="cpu")
    assert not compiled_frames
    config = load_config(tiny_classes.cfg, [*CLASSIFIER, "training.compile=true"])
    train(config, compiled, device="cpu")
    assert compiled_frames["ok"] > 0

    for kind, key in (("train", "loss"), ("eval", "top1_error")):
        one, other = ([line[key] for line in lines_of(run, kind)] for run in (eager, compiled))
        assert other == pytest.approx(one, rel=1e-4)
    plain, saved = (load_checkpoint(run / "checkpoints/last") for run in (eager, compiled))
    assert plain.tensors.keys() == saved.tensors.keys()
    for name, tensor in plain.tensors.items():
        torch.testing.assert_close(saved.tensors[name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert ClassifierSettings.load(compiled / "backbone.safetensors")[1].class_names == ("blue", "red")

    shutil.copytree(compiled / "checkpoints/step_00000002", cut / "checkpoints/last")
    train(config, cut, resume=True, device="cpu")
    again = load_checkpoint(cut / "checkpoints/last")
    assert again.trainer["step"] == 4
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in saved.tensors.items())
    assert [line["loss"] for line in lines_of(cut, "train")] == [
        line["loss"] for line in lines_of(compiled, "train")[2:]
    ]
