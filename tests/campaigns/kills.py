"""Runs that are killed at every file operation and at random times, and must end as one that was never cut.

python -m tests.campaigns.kills --minutes 60 --seed 1
python -m tests.campaigns.kills --kinds toy --kills 30

A *kind* is a task with or without averaged weights. Of each, one run goes to its end and is the measure. Then, again
and again, a run is killed by SIGKILL at its n-th file operation (an audit hook counts them; a file of weights is also
left half written) or at a random time, goes on with --resume, is perhaps killed again, and is compared when it ends:
all checkpoints and what was logged bit for bit, and no leftovers. Each run is a fork of this process, which has
imported everything and has computed nothing, so that a run takes no longer than its steps.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import torch

import detres.checkpoints.reading as checkpoint_reading
import detres.checkpoints.saving as checkpoints
from detres.checkpoints.places import checkpoint_names
from detres.training.logging.report_lines import SPEED
from tests.campaigns.killed_runs import TASKS, Run, runs_of


class FileOperations:
    """Counts this process's file operations below a folder, and kills it at the n-th; for one forked run."""

    def __init__(self, folder: Path, kill_at: int | None) -> None:
        self.count, self._folder, self._kill_at = 0, str(folder), kill_at
        sys.addaudithook(self._hear)
        for owner, name in ((checkpoints, "save_file"), (torch, "save")):
            setattr(owner, name, self._leaving_halves(getattr(owner, name)))
        os.fsync = self._counted(os.fsync)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            happens = str(arguments[0]).startswith(self._folder)
        else:
            # Some name a file by its folder's descriptor, so that its path is not known.
            happens = event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.chmod", "os.truncate")
        if happens:
            self._tick()

    def _tick(self, before: Callable[[], None] = lambda: None) -> None:
        self.count += 1
        if self.count == self._kill_at:
            before()
            os.kill(os.getpid(), signal.SIGKILL)

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._tick()
            return function(*arguments)

        return call

    def _leaving_halves(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def call(content: Any, file: Path, *more: Any) -> None:
            self._tick()
            write(content, file, *more)
            size = file.stat().st_size
            self._tick(lambda: os.truncate(file, size // 2))

        return call


def state_of(run: Path) -> dict[str, Any]:
    """All that two runs have to agree in, and what should not be there."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    logged = [{k: v for k, v in line.items() if "seconds" not in k and k not in SPEED} for line in lines]
    loaded = {name: checkpoint_reading.load_checkpoint(run / "checkpoints" / name) for name in checkpoint_names(run)}
    state: dict[str, Any] = {
        name: digest({"tensors": one.tensors, "metadata": one.metadata, "trainer": one.trainer})
        for name, one in loaded.items()
    }
    if (run / "backbone.safetensors").is_file():
        state["backbone"] = digest(list(checkpoint_reading.read_safetensors(run / "backbone.safetensors")))
    hidden = [str(path.relative_to(run)) for path in run.rglob(".*") if path.name != ".lock"]
    return state | {"logged": [line for line in logged if line["kind"] != "event"], "leftovers": hidden}


def digest(value: Any) -> str:
    """Of nested dicts and lists of tensors and plain values."""
    state = hashlib.blake2b(digest_size=16)

    def add(part: Any, path: str) -> None:
        if isinstance(part, torch.Tensor):
            state.update(f"{path}{part.dtype}{tuple(part.shape)}".encode())
            state.update(part.contiguous().reshape(-1).view(torch.uint8).numpy())
        elif isinstance(part, dict | list | tuple):
            items = part.items() if isinstance(part, dict) else enumerate(part)
            for name, inner in sorted(items, key=lambda item: str(item[0])):
                add(inner, f"{path}/{name}")
        else:
            state.update(f"{path}={part!r}".encode())

    add(value, "")
    return state.hexdigest()


@dataclass
class Ended:
    """How a forked run ended. killed: by SIGKILL. told: what it printed, where it ended by itself."""

    killed: bool
    operations: int = 0
    state: dict[str, Any] | None = None
    modules: tuple[str, ...] = ()
    told: str = ""


def forked(run_it: Run, run: Path, resume: bool, kill_at: int | None = None, kill_after: float | None = None) -> Ended:
    """Train in a fork of this process, killed at an operation or after so many seconds, where it gets there."""
    result, output = run.with_name(f"{run.name}.json"), run.with_name(f"{run.name}.txt")
    result.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _become_run(run_it, run, resume, kill_at, result, output)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)  # Its own child, not yet waited for: the number is nobody else's.
    _, status = os.waitpid(child, 0)
    if result.is_file():
        return Ended(False, **json.loads(result.read_text()))
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return Ended(True)
    return Ended(False, told=output.read_text()[-3000:])


def _become_run(run_it: Run, run: Path, resume: bool, kill_at: int | None, result: Path, output: Path) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    try:
        operations = FileOperations(run, kill_at)
        run_it(run, resume)
        done = {"operations": operations.count, "state": state_of(run), "modules": sorted(sys.modules)}
        partial = result.with_suffix(".partial")
        partial.write_text(json.dumps(done))
        partial.rename(result)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


@dataclass
class Kind:
    """A kind of run, its measure, how long it takes, and the operations it was not yet killed at."""

    name: str
    run_it: Run
    measure: Ended
    seconds: float
    draw: random.Random
    left: list[int] = field(default_factory=list)

    def moments(self) -> Iterator[dict[str, Any]]:
        """Every operation in a random order, a random time after every third; then all again."""
        while True:
            self.left = list(range(1, self.measure.operations + 1))
            self.draw.shuffle(self.left)
            while self.left:
                yield {"kill_at": self.left.pop()}
                if len(self.left) % 3 == 0:
                    yield {"kill_after": self.draw.uniform(0, self.seconds)}


def measured(name: str, folder: Path, draw: random.Random) -> Kind:
    return measured_run(name, runs_of(name, folder / name.partition("+")[0]), folder, draw)


def measured_run(name: str, run_it: Run, folder: Path, draw: random.Random) -> Kind:
    run = folder / f"{name}-measure"
    measure = forked(run_it, run, resume=False)
    if measure.state is None or measure.state["leftovers"]:
        raise SystemExit(f"{name}: not even the undisturbed run ends well: {measure}")
    shutil.rmtree(run)
    for module in measure.modules:  # What a run imports on its way is not imported by every fork anew.
        with suppress(ImportError):
            importlib.import_module(module)
    started = time.perf_counter()
    forked(run_it, run, resume=False)
    shutil.rmtree(run)
    return Kind(name, run_it, measure, time.perf_counter() - started, draw)


def lost(kind: Kind, folder: Path, moment: dict[str, Any]) -> tuple[int, str | None]:
    """How often a run was killed until it ended, and what it lost by that: None where it ended as the measure did."""
    run, kills = folder / f"{kind.name}-killed", 0
    ended = forked(kind.run_it, run, False, **moment)
    while ended.killed:
        kills += 1
        again = kills < 4 and kind.draw.random() < 0.3
        kill_at = kind.draw.randint(1, kind.measure.operations) if again else None
        ended = forked(kind.run_it, run, True, kill_at=kill_at)
    if ended.state is None:
        return kills, ended.told
    differing = [key for key, value in kind.measure.state.items() if ended.state.get(key) != value]
    differing += ended.state.keys() - kind.measure.state.keys()
    if differing:
        return kills, f"it ended otherwise: {', '.join(differing)}; leftovers {ended.state['leftovers']}"
    shutil.rmtree(run)
    return kills, None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = [f"{task}{averaged}" for task in TASKS for averaged in ("", "+ema")]
    parser.add_argument("--kinds", nargs="+", choices=every, default=every[2:])
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--kills", type=int, help="stop after so many, whatever the time")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 10**6)
    parser.add_argument("--folder", type=Path, help="for the runs; a temporary one, which is kept where one is lost")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    print(f"seed {arguments.seed}, {arguments.minutes:g} minutes, {', '.join(arguments.kinds)}", flush=True)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    folder.mkdir(parents=True, exist_ok=True)
    end, draw = time.monotonic() + 60 * arguments.minutes, random.Random(arguments.seed)
    kinds = [measured(name, folder, draw) for name in arguments.kinds]
    for kind in kinds:
        print(f"{kind.name}: {kind.measure.operations} file operations, {kind.seconds:.1f} s", flush=True)
    kills, failures = campaign(kinds, folder, arguments.kills, end)
    left = ", ".join(f"{len(kind.left)} of {kind.name}" for kind in kinds)
    print(f"{kills} kills, {failures} runs lost; operations not yet killed at in the last round: {left}")
    if not failures and arguments.folder is None:
        shutil.rmtree(folder)
    return 1 if failures else 0


def campaign(kinds: list[Kind], folder: Path, most_kills: int | None, end: float) -> tuple[int, int]:
    """Kills and lost runs, the kinds by turns until the time is up."""
    moments, kills, failures, turn = [kind.moments() for kind in kinds], 0, 0, 0
    while time.monotonic() < end and (most_kills is None or kills < most_kills):
        kind, moment = kinds[turn % len(kinds)], next(moments[turn % len(kinds)])
        turn += 1
        count, what = lost(kind, folder, moment)
        kills += count
        if what is not None:
            failures += 1
            kept = folder / f"{kind.name}-lost-{failures}"
            (folder / f"{kind.name}-killed").rename(kept)
            print(f"LOST {kind.name}, first killed at {moment} ({count} kills): {what}; kept in {kept}", flush=True)
    return kills, failures


if __name__ == "__main__":
    sys.exit(main())
