"""Whole trainings of whose processes some are killed, stopped or not listened to any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from detres.training.checkpoints import load_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds the workers in /proc"),
]

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tiny, tmp_path: Path) -> Iterator[Start]:
    """Begin to train in tmp_path/NAME, in a process group of its own."""

    def begin(name: str, *overrides: str, steps: int = 100_000) -> subprocess.Popen[str]:
        options = [f"training.steps={steps}", "training.log_every=5", "data.workers=2", *overrides]
        arguments = ["train_det", "--cfg", str(tiny.cfg), "--out", str(tmp_path / name), "--device", "cpu"]
        return subprocess.Popen(
            [sys.executable, "-m", "detres", *arguments, "training.checkpoint_every=1000000", *options],
            env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore::UserWarning"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    yield begin
    for weights in (*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("*.pt")):
        weights.unlink()


def wait_for_step(run: subprocess.Popen[str]) -> None:
    for line in run.stdout:
        if line.startswith("step 5 "):
            return
    raise AssertionError(run.stderr.read())


def workers_of(run: subprocess.Popen[str]) -> list[int]:
    return [int(child) for child in Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()]


def ends_of(processes: list[int]) -> bool:
    until = time.monotonic() + 10
    while any(Path(f"/proc/{process}").exists() for process in processes):
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


@pytest.mark.parametrize("to_group", [True, False], ids=["group", "process"])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1"])
def test_a_signal_ends_a_training_with_a_checkpoint_one_line_and_no_worker_left(start, tmp_path, name, to_group):
    run = start("run")
    wait_for_step(run)
    workers = workers_of(run)
    assert len(workers) == 2
    (os.killpg if to_group else os.kill)(run.pid, getattr(signal, name))
    _, told = run.communicate(timeout=120)
    last = tmp_path / "run" / "checkpoints" / "last"
    assert run.returncode == 130, told
    assert told.startswith(f"interrupted by {name} after step ")
    assert told.count("\n") == 1, told
    assert load_checkpoint(last).trainer["step"] >= 5
    assert ends_of(workers)


def test_a_killed_training_takes_its_workers_along(start):
    run = start("run")
    wait_for_step(run)
    workers = workers_of(run)
    run.kill()
    run.communicate()
    assert ends_of(workers)


def test_a_worker_that_was_killed_changes_nothing_but_a_line(start, tmp_path):
    whole = start("whole", steps=15)
    _, told = whole.communicate(timeout=240)
    assert (whole.returncode, told) == (0, "")
    cut = start("cut", steps=15)
    wait_for_step(cut)
    os.kill(workers_of(cut)[0], signal.SIGKILL)
    _, told = cut.communicate(timeout=240)
    assert cut.returncode == 0, told
    assert told == (
        "warning: a process that loads images was killed by SIGKILL (out of memory?); another reads its batches again\n"
    )
    one, two = (load_checkpoint(tmp_path / name / "checkpoints" / "last").tensors for name in ("whole", "cut"))
    assert all(torch.equal(tensor, two[name]) for name, tensor in one.items())


def test_a_training_whose_reader_went_away_is_trained_to_its_end(start, tmp_path):
    run = start("run", steps=12)
    wait_for_step(run)
    run.stdout.close()
    told = run.stderr.read()
    assert (run.wait(timeout=240), told) == (0, "")
    assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last").trainer["step"] == 12
