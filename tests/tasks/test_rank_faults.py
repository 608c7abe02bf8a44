"""Commands on two ranks of which one meets a mistake or is killed: one message, a soon end, and a run that goes on."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from detres.checkpoints.reading import load_checkpoint

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.path.isdir("/proc"), reason="finds the workers in /proc"),
]

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore::UserWarning"}
# Of the rank that failed, how long it and the other may take to end.
SOON = 30


class Ranks:
    """Two processes of one command, begun as torchrun begins them; what they print goes to files."""

    def __init__(self, folder: Path, *arguments: str | Path) -> None:
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        shared = os.environ | ENVIRONMENT | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
        self._folder, self.processes = folder, []
        for rank in range(2):
            with (folder / f"{rank}.out").open("w") as out, (folder / f"{rank}.err").open("w") as errors:
                process = subprocess.Popen(
                    [sys.executable, "-m", "detres", *map(str, arguments), "--device", "cpu"],
                    env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
                    stdout=out,
                    stderr=errors,
                )
            self.processes.append(process)

    def wait_until(self, reached: Callable[[], bool]) -> None:
        until = time.monotonic() + 180
        while not reached():
            assert all(process.poll() is None for process in self.processes), self.errors()
            assert time.monotonic() < until
            time.sleep(0.02)

    def wait_for_step(self, step: int) -> None:
        self.wait_until(lambda: f"step {step} " in (self._folder / "0.out").read_text())

    def wait_for_workers(self) -> None:
        children = [Path(f"/proc/{process.pid}/task/{process.pid}/children") for process in self.processes]
        self.wait_until(lambda: all(file.read_text() for file in children))

    def statuses(self, seconds: float = 240) -> list[int]:
        until = time.monotonic() + seconds
        return [process.wait(max(0.1, until - time.monotonic())) for process in self.processes]

    def errors(self) -> list[str]:
        return [(self._folder / f"{rank}.err").read_text() for rank in range(2)]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Ranks]]:
    """Begin a command on two ranks; none outlasts the test."""
    begun: list[Ranks] = []

    def begin(*arguments: str | Path) -> Ranks:
        begun.append(Ranks(tmp_path / f"ranks{len(begun)}", *arguments))
        return begun[-1]

    yield begin
    for process in (process for ranks in begun for process in ranks.processes):
        if process.poll() is None:
            process.kill()
            process.wait()
    for weights in (*tmp_path.rglob("*.safetensors"), *tmp_path.rglob("*.pt")):
        weights.unlink()


@pytest.fixture
def train(start: Callable[..., Ranks]) -> Callable[..., Ranks]:
    def train(tiny: Any, run: Path, *more: str) -> Ranks:
        options = ["training.steps=12", "training.checkpoint_every=1", "data.strict=true"]
        return start("train_det", "--cfg", tiny.cfg, "--out", run, *options, *more)

    return train


@pytest.fixture(scope="module")
def own_tiny(tmp_path_factory: pytest.TempPathFactory, write_tiny_set: Callable[..., Any]) -> Any:
    """The tiny set, of which tests damage an image for a while."""
    return write_tiny_set(tmp_path_factory.mktemp("rank_faults") / "set")


def cut(picture: Path) -> bytes:
    """Take away the second half of a picture, in one go; returns what it was."""
    whole = picture.read_bytes()
    half = picture.with_name("half")
    half.write_bytes(whole[: len(whole) // 2])
    half.replace(picture)
    return whole


def test_a_training_that_one_rank_ended_goes_on_and_ends_as_one_that_was_not(
    train: Callable[..., Ranks], own_tiny: Any, tmp_path: Path
) -> None:
    """By an image that it cannot read, and by its death."""
    whole = train(own_tiny, tmp_path / "whole")
    assert whole.statuses() == [0, 0], whole.errors()
    assert whole.errors() == ["", ""]

    mistaken = train(own_tiny, tmp_path / "mistaken")
    mistaken.wait_for_step(2)
    picture = own_tiny.pictures("train")[3]
    before = cut(picture)
    try:
        assert mistaken.statuses() == [2, 2], mistaken.errors()
    finally:
        picture.write_bytes(before)
    (told,) = filter(None, mistaken.errors())
    assert told.startswith("DataError: ")
    assert told.count("\n") == 1
    assert str(picture) in told

    killed = train(own_tiny, tmp_path / "killed")
    killed.wait_for_step(2)
    killed.processes[1].kill()
    assert killed.statuses(SOON) == [2, -signal.SIGKILL], killed.errors()
    assert killed.errors()[0].startswith("UserError: rank 1 ended without a word (killed")
    assert killed.errors()[0].count("\n") == 1

    expected = load_checkpoint(tmp_path / "whole" / "checkpoints" / "last").tensors
    for name in ("mistaken", "killed"):
        last = tmp_path / name / "checkpoints" / "last"
        assert 2 <= load_checkpoint(last).trainer["step"] < 12
        again = train(own_tiny, tmp_path / name, "--resume")
        assert again.statuses() == [0, 0], again.errors()
        tensors = load_checkpoint(last).tensors
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in tensors.items())


@pytest.mark.parametrize("dies", [0, 1])
def test_a_rank_that_dies_in_an_evaluation_ends_the_other_soon(
    start: Callable[..., Ranks], trained: Path, long_test: list[str], tmp_path: Path, dies: int
) -> None:
    run = start("eval_det", "--weights", trained, "--out", tmp_path / "eval", "data.workers=1", *long_test)
    run.wait_for_workers()
    time.sleep(0.5)  # It is in the midst of the images.
    if dies == 0:
        # Stopped for a while, so that the store it keeps dies with a question of the other's unanswered.
        run.processes[0].send_signal(signal.SIGSTOP)
        time.sleep(2.5)
    run.processes[dies].kill()
    statuses = run.statuses(SOON)
    assert (statuses[dies], statuses[1 - dies]) == (-signal.SIGKILL, 2), run.errors()
    told = run.errors()
    assert told[dies] == ""
    assert told[1 - dies].startswith(f"UserError: rank {dies} ended without a word (killed")
    assert told[1 - dies].count("\n") == 1
    assert list((tmp_path / "eval").iterdir()) == []


def test_under_torchrun_the_message_stands_once_and_no_traceback_is_ours(
    own_tiny: Any, tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    picture = own_tiny.pictures("train")[3]
    before = cut(picture)
    try:
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
        command = ("-m", "detres", "train_det", "--cfg", own_tiny.cfg, "--out", tmp_path / "run", "--device", "cpu")
        ended = run_python(*launcher, *command, "training.steps=12", "data.strict=true", **ENVIRONMENT)
    finally:
        picture.write_bytes(before)
    assert ended.returncode == 1
    assert ended.stderr.count("DataError: ") == 1
    assert ended.stderr.count(str(picture)) == 1
    frames = [line for line in ended.stderr.splitlines() if line.lstrip().startswith("File ")]
    assert not [frame for frame in frames if str(ROOT / "detres") in frame]
