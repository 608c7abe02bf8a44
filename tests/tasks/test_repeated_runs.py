"""A run with training.deterministic again, cut, and on a GPU: the same bits each time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from detres.checkpoints.reading import load_checkpoint
from detres.config.loading import load_config
from detres.errors import ConfigError
from detres.reporter import Reporter
from detres.tasks.dry_run import dry_run
from detres.tasks.training import train

LAYOUTS = {
    "c4": (),
    "dc5": ("model.layout=dc5", "model.roi.head_fc_channels=16"),
    "fpn": (
        "model.layout=fpn",
        "model.anchors.sizes=[[8], [16], [32], [64], [128]]",
        "model.fpn.channels=16",
        "model.roi.head_fc_channels=16",
        "model.roi.sampling_ratio=0",
    ),
}
REPEATED = ("training.deterministic=true", "model.backbone.norm=batch", "data.test=[]")


def tensors_of(run: Path) -> dict[str, torch.Tensor]:
    checkpoint = load_checkpoint(run / "checkpoints/last")
    raw = {f"raw {name}": value for name, value in checkpoint.trainer.get("raw", {}).items()}
    return checkpoint.tensors | raw


def assert_same_bits(one: Path, other: Path) -> None:
    mine, theirs = tensors_of(one), tensors_of(other)
    assert mine.keys() == theirs.keys()
    assert [name for name, value in mine.items() if not torch.equal(value, theirs[name])] == []


class Asked:
    """A logger that looks at what torch is asked for, and fails the run where it is told to."""

    def __init__(self) -> None:
        self.seen: list[bool] = []

    def start(self, run: Any) -> None:
        self.seen.append(torch.are_deterministic_algorithms_enabled())

    def metrics(self, kind: str, step: int, values: Mapping[str, Any]) -> None:
        self.seen.append(torch.are_deterministic_algorithms_enabled())

    def finish(self, *_: Any) -> None:
        pass


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_run_again_and_one_that_was_cut_end_with_the_same_bits(layout: str, tiny: Any, tmp_path: Path) -> None:
    overrides = [*LAYOUTS[layout], *REPEATED]
    once, again, cut = (tmp_path / name for name in ("once", "again", "cut"))
    for run in (once, again):
        train(load_config(tiny.cfg, [*overrides, "training.steps=4"]), run, device="cpu")
    for steps in (2, 4):
        config = load_config(tiny.cfg, [*overrides, f"training.steps={steps}"])
        train(config, cut, resume=steps == 4, device="cpu")
    assert_same_bits(once, again)
    assert_same_bits(once, cut)


@pytest.mark.slow
def test_torch_is_asked_within_the_run_and_the_cost_is_told(tiny_classes: Any, tmp_path: Path) -> None:
    asked, said = Asked(), []
    config = load_config(tiny_classes.cfg, ["training.deterministic=true", "training.steps=1"])
    train(config, tmp_path / "run", device="cpu", logs=[asked], reporter=Reporter(said.append))
    assert asked.seen
    assert all(asked.seen)
    assert not torch.are_deterministic_algorithms_enabled()
    assert any(line.startswith("training.deterministic: ") for line in said), said


@pytest.mark.slow
def test_a_dry_run_tells_the_cost_and_an_ordinary_one_does_not(tiny_classes: Any) -> None:
    for overrides, told in ((["training.deterministic=true"], 1), ([], 0)):
        said: list[str] = []
        dry_run(load_config(tiny_classes.cfg, overrides), device="cpu", reporter=Reporter(said.append))
        assert sum(line.startswith("training.deterministic: ") for line in said) == told
        assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.slow
def test_a_run_that_fails_leaves_torch_as_it_was(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        assert torch.are_deterministic_algorithms_enabled()
        raise OSError("the power is gone")

    monkeypatch.setattr("detres.tasks.training.run_training", fail)
    with pytest.raises(OSError, match="the power is gone"):
        train(load_config(tiny.cfg, REPEATED), tmp_path / "run", device="cpu")
    assert not torch.are_deterministic_algorithms_enabled()


def test_torchvisions_roi_align_is_refused_beside_it(tiny: Any) -> None:
    with pytest.raises(ConfigError, match=r"deterministic=true does not go with .*torchvision.*auto or rows"):
        load_config(tiny.cfg, ["training.deterministic=true", "model.roi.roi_align=torchvision"])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("precision", ["float32", "bf16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_ten_steps_on_a_gpu_end_with_the_same_bits(layout: str, precision: str, tiny: Any, tmp_path: Path) -> None:
    overrides = [*LAYOUTS[layout], *REPEATED, "training.steps=10", f"training.precision={precision}"]
    for name in ("once", "again"):
        train(load_config(tiny.cfg, overrides), tmp_path / name, device="cuda:0")
    assert_same_bits(tmp_path / "once", tmp_path / "again")
