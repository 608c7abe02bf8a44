"""Inputs tried one after the other under watch: each may end only in a result or in a UserError.

A campaign makes an input from a random generator in a folder, and reads it. What counts as a fault: any other
exception, a crash of the process, more time or memory than an input of its size may cost, code that is run, a file
opened outside the folder. An input is known by (seed, number) and made again by `--only NUMBER`.

The inputs are tried in a child that is forked once everything is imported: hundreds a second, and a crash costs one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from detres.errors import UserError

SECONDS = 5.0  # of the processor that an input may take
# What a small input may take of memory, over twice its size: an import done late, a pool of threads.
MEMORY = 256 << 20
# Beyond so much more than the process has at first the system refuses, lest a fault takes the machine along.
_ADDRESS_SPACE = 4 << 30

_RUNS_CODE = {"os.system", "subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "pty.spawn", "socket.connect"}
_CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"}
# A file beside every case, with a name that nothing else has: whoever opens it left the folder.
OUTSIDE = "outside_of_the_case"


class TooSlow(BaseException):
    """Raised in the middle of an input; no `except Exception` holds it."""


@dataclass(frozen=True)
class Campaign:
    """write: makes an input in an empty folder. read: reads it; what it returns counts as a result.

    Neither is given anything else, so that the same numbers make the same inputs.
    """

    name: str
    write: Callable[[Random, Path], None]
    read: Callable[[Path], Any]
    seconds: float = SECONDS


@dataclass
class Tally:
    """How the inputs of a campaign ended. faults: (number, what) of each that ended otherwise."""

    inputs: int = 0
    results: int = 0
    told: int = 0
    slowest: float = 0.0
    most_memory: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)

    def line(self, name: str, seed: int) -> str:
        return (
            f"{name}, seed {seed}: {self.inputs} inputs, {self.results} read, {self.told} told, "
            f"{len(self.faults)} faults; slowest {self.slowest:.2f} s, most memory {self.most_memory / 2**20:.0f} MiB"
        )


class _Guard:
    """What the interpreter does while an input is read, by its audit events."""

    def __init__(self) -> None:
        self.root: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.root is None:
            return
        if event in _RUNS_CODE:
            self.seen.append(f"{event} {arguments!r:.200}")
        elif event == "open" and isinstance(arguments[0], str | bytes):
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else "r" not in str(mode)
            name = os.fsdecode(path)
            if OUTSIDE in name or (writes and not self._inside(name)):
                self.seen.append(f"opened {name!r:.200} ({mode})")
        elif event in _CHANGES and not self._inside(os.fsdecode(os.fspath(arguments[0]))):
            self.seen.append(f"{event} {arguments!r:.200}")

    def _inside(self, name: str) -> bool:
        path = os.path.abspath(name)
        return path.startswith((self.root or "", "/dev/null", "/proc/self/"))


def run(campaign: Campaign, *, seed: int, inputs: int | None = None, minutes: float | None = None) -> Tally:
    """Try inputs 0, 1, … until there were `inputs` of them or the time is over."""
    until = None if minutes is None else time.monotonic() + 60 * minutes
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix="campaign-", dir=_fast_folder()) as scratch:
        (Path(scratch) / f"{OUTSIDE}.png").touch()
        while (inputs is None or tally.inputs < inputs) and (until is None or time.monotonic() < until):
            _try_until_a_crash(campaign, seed, inputs, until, tally, Path(scratch))
    return tally


def _fast_folder() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _try_until_a_crash(
    campaign: Campaign, seed: int, inputs: int | None, until: float | None, tally: Tally, scratch: Path
) -> None:
    """Fork a child that tries inputs from tally.inputs on; what it had found is taken over, whatever becomes of it."""
    board = mmap.mmap(-1, 32)  # the number of the input under way, and when it began
    report, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(report)
        status = 1
        with contextlib.suppress(BaseException):
            _child(campaign, seed, tally.inputs, inputs, until, board, told, scratch)
            status = 0
        os._exit(status)
    os.close(told)
    watch = _Watch(child, board, campaign.seconds)
    with os.fdopen(report, encoding="utf-8") as lines:
        for line in lines:
            _count(json.loads(line), tally)
            watch.look()
    _, status = os.waitpid(child, 0)
    watch.stop()
    if status:
        number = int.from_bytes(board[:8], "little")
        what = f"the process died ({'hangs' if watch.killed else os.waitstatus_to_exitcode(status)})"
        tally.faults.append((number, what))
        tally.inputs = number + 1


class _Watch:
    """Ends a child that hangs where no Python code can be interrupted."""

    def __init__(self, child: int, board: mmap.mmap, seconds: float) -> None:
        self.child, self.board, self.seconds, self.killed = child, board, seconds, False
        signal.signal(signal.SIGALRM, lambda *_: self.look())
        signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)

    def look(self) -> None:
        began = int.from_bytes(self.board[8:16], "little") / 1e9
        if began and time.monotonic() - began > 6 * self.seconds + 30:
            self.killed = True
            os.kill(self.child, signal.SIGKILL)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _count(entry: dict[str, Any], tally: Tally) -> None:
    tally.inputs = entry["number"] + 1
    tally.results += entry["results"]
    tally.told += entry["told"]
    tally.slowest = max(tally.slowest, entry["seconds"])
    tally.most_memory = max(tally.most_memory, entry["memory"])
    tally.faults += [(number, what) for number, what in entry["faults"]]


def _child(
    campaign: Campaign,
    seed: int,
    first: int,
    inputs: int | None,
    until: float | None,
    board: mmap.mmap,
    told: int,
    scratch: Path,
) -> None:
    warnings.simplefilter("ignore")
    os.chdir(scratch)
    os.environ["DETRES_DATASETS"] = str(scratch / "datasets")
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # libraries print of damage what they like
        os.dup2(silence, stream)
    limit = _status("VmSize") + _ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    signal.signal(signal.SIGPROF, _too_slow)
    guard = _Guard()
    number = first
    with os.fdopen(told, "w", encoding="utf-8") as lines:
        while (inputs is None or number < inputs) and (until is None or time.monotonic() < until):
            board[:8] = number.to_bytes(8, "little")
            board[8:16] = time.monotonic_ns().to_bytes(8, "little")
            entry = try_one(campaign, seed, number, scratch, guard)
            lines.write(json.dumps(entry) + "\n")
            lines.flush()
            number += 1


def _too_slow(*_: object) -> None:
    raise TooSlow


def try_one(campaign: Campaign, seed: int, number: int, scratch: Path, guard: _Guard | None = None) -> dict[str, Any]:
    """Make and read one input, and say how it ended."""
    case = scratch / "case"
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir()
    campaign.write(Random(f"{campaign.name}/{seed}/{number}"), case)
    size = sum(file.lstat().st_size for file in case.rglob("*") if file.is_file())
    entry: dict[str, Any] = {"number": number, "results": 0, "told": 0, "seconds": 0.0, "memory": 0, "faults": []}
    before = _start_memory()
    began = time.process_time()
    if guard is not None:
        guard.seen, guard.root = [], str(scratch.resolve())
    signal.setitimer(signal.ITIMER_PROF, campaign.seconds)
    try:
        campaign.read(case)
        entry["results"] = 1
    except UserError as error:
        entry["told"] = 1
        if not str(error).strip() or len(str(error)) > 20_000:
            entry["faults"].append((number, f"a message of {len(str(error))} letters"))
    except TooSlow:
        entry["faults"].append((number, f"took over {campaign.seconds} s"))
    except BaseException:
        entry["faults"].append((number, traceback.format_exc()[-1500:]))
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        if guard is not None:
            guard.root = None
    entry["seconds"] = time.process_time() - began
    entry["memory"] = _most_memory() - before
    if entry["memory"] > 2 * size + MEMORY:
        entry["faults"].append((number, f"took {entry['memory'] >> 20} MiB for {size} bytes"))
    entry["faults"] += [(number, what) for what in (guard.seen if guard else [])]
    return entry


def _start_memory() -> int:
    """Forget the process's largest size so far, and return its present one."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _most_memory()


def _most_memory() -> int:
    return _status("VmHWM")


def _status(key: str) -> int:
    """A size of this process in bytes, as Linux tells it; 0 elsewhere."""
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii", errors="replace") as lines:
        for line in lines:
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) << 10
    return 0


def main(campaigns: Sequence[Campaign]) -> int:
    """A command line for some campaigns: --seed, --minutes of all or --inputs of each, --only NAME, --number N."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--minutes", type=float, help="of all campaigns together")
    parser.add_argument("--inputs", type=int, help="of each campaign; 10,000 where no minutes are given")
    parser.add_argument("--only", choices=[campaign.name for campaign in campaigns], action="append")
    parser.add_argument("--number", type=int, help="try this input alone, and show what it raises")
    parser.add_argument("--keep", type=Path, help="with --number: where to leave the input")
    given = parser.parse_args()
    chosen = [campaign for campaign in campaigns if not given.only or campaign.name in given.only]
    if given.number is not None:
        return _show_one(chosen[0], given.seed, given.number, given.keep)
    inputs = given.inputs or (None if given.minutes else 10_000)
    faults = 0
    for campaign in chosen:
        tally = run(campaign, seed=given.seed, inputs=inputs, minutes=given.minutes and given.minutes / len(chosen))
        print(tally.line(campaign.name, given.seed), flush=True)
        for number, what in tally.faults[:20]:
            print(f"  --only {campaign.name} --number {number}: {what}", flush=True)
        faults += len(tally.faults)
    return 1 if faults else 0


def _show_one(campaign: Campaign, seed: int, number: int, keep: Path | None) -> int:
    with tempfile.TemporaryDirectory(prefix="campaign-") as scratch:
        (Path(scratch) / f"{OUTSIDE}.png").touch()
        signal.signal(signal.SIGPROF, _too_slow)
        entry = try_one(campaign, seed, number, Path(scratch), _Guard())
        if keep:
            shutil.copytree(Path(scratch) / "case", keep, symlinks=True)
    print(entry.pop("faults") or "no fault", entry)
    return 0
