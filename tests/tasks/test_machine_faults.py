"""Whole trainings and evaluations of whose processes some are killed, stopped or not listened to any more."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from detres.checkpoints.reading import load_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds the workers in /proc"),
]

ROOT = Path(__file__).parents[2]
Start = Callable[..., subprocess.Popen[str]]


def start_command(*arguments: str, before: Callable[[], None] | None = None) -> subprocess.Popen[str]:
    """Begin a command in a process group of its own, with two workers. before: what the process does first."""
    return subprocess.Popen(
        [sys.executable, "-m", "detres", *arguments, "--device", "cpu", "data.workers=2"],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore::UserWarning"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=before,
    )


@pytest.fixture
def start(tiny, tmp_path: Path) -> Iterator[Start]:
    """Begin to train in tmp_path/NAME."""

    def begin(
        name: str, *overrides: str, steps: int = 100_000, before: Callable[[], None] | None = None
    ) -> subprocess.Popen[str]:
        arguments = ["train_det", "--cfg", str(tiny.cfg), "--out", str(tmp_path / name)]
        options = [f"training.steps={steps}", "training.log_every=5", "training.checkpoint_every=1000000", *overrides]
        return start_command(*arguments, *options, before=before)

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


def wait_for_workers(run: subprocess.Popen[str], count: int) -> list[int]:
    until = time.monotonic() + 120
    while len(workers := workers_of(run)) < count:
        assert run.poll() is None, run.stderr.read()
        assert time.monotonic() < until, f"{len(workers)} of {count} workers"
        time.sleep(0.05)
    return workers


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


@pytest.mark.parametrize(("name", "to_group"), [("SIGINT", True), ("SIGTERM", False), ("SIGUSR1", True)])
def test_a_signal_ends_an_evaluation_with_one_line_no_file_and_no_worker_left(
    trained, long_test, tmp_path, name, to_group
):
    run = start_command("eval_det", "--weights", str(trained), "--out", str(tmp_path / "eval"), *long_test)
    workers = wait_for_workers(run, 2)
    time.sleep(0.5)  # It is in the midst of the images.
    (os.killpg if to_group else os.kill)(run.pid, getattr(signal, name))
    _, told = run.communicate(timeout=120)
    assert (run.returncode, told) == (130, f"interrupted by {name}\n")
    assert list((tmp_path / "eval").iterdir()) == []
    assert ends_of(workers)


@pytest.mark.parametrize(("name", "to_group"), [("SIGINT", False), ("SIGTERM", True), ("SIGUSR1", False)])
def test_a_signal_ends_a_training_in_its_evaluation(start, long_test, tmp_path, name, to_group):
    """The two workers that read for the training wait beside the two of the evaluation, and all four end."""
    run = start("run", "training.eval_every=1", *long_test)
    workers = wait_for_workers(run, 4)
    time.sleep(0.5)
    (os.killpg if to_group else os.kill)(run.pid, getattr(signal, name))
    _, told = run.communicate(timeout=120)
    last = tmp_path / "run" / "checkpoints" / "last"
    assert run.returncode == 130, told
    assert told == f"interrupted by {name} after step 1; {last} holds it, --resume goes on\n"
    saved = load_checkpoint(last).trainer
    assert (saved["step"], saved["evaluated"] < 1) == (1, True)
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


def test_a_training_makes_no_file_in_dev_shm(start, long_test):
    """Containers make it small; the batches of its workers, and of those of an evaluation, go another way."""
    before = set(os.listdir("/dev/shm"))
    run = start("run", "training.eval_every=6", *long_test)
    wait_for_step(run)
    wait_for_workers(run, 4)
    time.sleep(0.5)
    held = {os.readlink(link) for process in (run.pid, *workers_of(run)) for link in links_of(process)}
    run.kill()
    run.communicate()
    assert not [place for place in held if place.startswith("/dev/shm")]
    assert not [name for name in set(os.listdir("/dev/shm")) - before if str(run.pid) in name]


def links_of(process: int) -> list[str]:
    return [entry.path for entry in os.scandir(f"/proc/{process}/fd")]


@pytest.mark.parametrize("most", [24, 40])
def test_a_training_that_may_open_few_files_trains_or_says_so(start, tmp_path, most):
    run = start("run", steps=6, before=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
    _, told = run.communicate(timeout=240)
    assert "Traceback" not in told
    if run.returncode == 0:
        assert told == ""
        assert load_checkpoint(tmp_path / "run" / "checkpoints" / "last").trainer["step"] == 6
    else:
        assert run.returncode == 2, told
        assert told.count("\n") == 1, told
        assert "Too many open files; raise the limit (ulimit -n)" in told
