"""Many hostile weights files are read: each may end in a result or in a told error, and in nothing else.

A WeightsError (of the readers of pickles a ValueError) with a message, within a time, and within twice the file and 256
MiB. They are read in processes of their own, so that a crash or a hang is counted as well.

    python -m tests.campaigns.weights_campaign --count 200000 --seed 7        (from the root of a clone)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.campaigns.hostile_weights import MAKERS, Draw, described_model, made, sound  # noqa: E402

SPARE = 256 << 20
SECONDS = 20.0
"""Of one file, on a machine that does other things as well."""


def read_all(path: Path) -> list[str]:
    """How each reader ended: ok, or the kind of its error. Anything but a told error is raised."""
    from detres.array_pickle import read_array_pickle
    from detres.backbones.metadata import WeightsMetadata
    from detres.backbones.weight_files import read_weights
    from detres.classification.classifier_files import load_classifier
    from detres.detection.detector_files import load_detector
    from detres.errors import WeightsError
    from detres.inert_pickle import read_torch_file
    from detres.structures import IMAGENET_STATS

    head = path.read_bytes()[:9]
    known = WeightsMetadata("resnet18", IMAGENET_STATS)
    readers: list[tuple[type[Exception], Callable[[], Any]]] = [
        (WeightsError, lambda: read_weights(path)),
        (WeightsError, lambda: read_weights(path, metadata=known)),
    ]
    if head[8:] == b"{":
        readers += [(WeightsError, lambda: load_detector(path)), (WeightsError, lambda: load_classifier(path))]
    else:
        readers += [(ValueError, lambda: read_torch_file(path)), (ValueError, lambda: read_array_pickle(path))]
    ends = []
    for told, read in readers:
        try:
            read()
            ends.append("ok")
        except told as error:
            if not str(error) or str(error).endswith(("()", ": ")) or len(str(error)) > 4000:
                raise AssertionError(f"no message for people: {str(error)[:200]!r}") from error
            if "MemoryError" in str(error) or "allocate" in str(error):
                raise
            ends.append(told.__name__)
    return ends


@dataclass
class Outcome:
    """Of a campaign. read: files. ends: how often each reader's end. failures: kind, seed, what happened."""

    read: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    most_memory: int = 0


def campaign(count: int, seed: int, *, kinds: list[str] | None = None, batch: int = 1000) -> Outcome:
    """Read `count` files, drawn from the seed, in processes of `batch` files each."""
    outcome, first = Outcome(), seed * 10**9
    chosen = kinds or list(MAKERS)
    waiting = [(k, min(batch, count - k)) for k in range(0, count, batch)]
    while waiting:
        start, length = waiting.pop(0)
        job = json.dumps([first + start, length, chosen])
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-X", "faulthandler", __file__, "--child", job, "--folder", folder]
            ran = subprocess.run(
                command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120 + SECONDS * length
            )
            left = sorted(set(os.listdir(folder)) - {"w", "at"})
            at = int((Path(folder) / "at").read_text() or first + start)
        for line in ran.stdout.splitlines():
            report = json.loads(line)
            outcome.read += report["read"]
            outcome.ends.update(report["ends"])
            outcome.failures += report["failures"]
            outcome.slowest = max(outcome.slowest, report["slowest"])
            outcome.most_memory = max(outcome.most_memory, report["most_memory"])
        if left:
            outcome.failures.append(f"files outside, by a file of {first + start}…: {left}")
        if ran.returncode:  # it crashed: the rest of the batch is another's
            kind = chosen[at % len(chosen)]
            outcome.failures.append(f"{kind} {at}: the process ended with {ran.returncode}: {ran.stderr[-300:]}")
            done = at - first - start + 1
            outcome.read += done
            if done < length:
                waiting.insert(0, (start + done, length - done))
    return outcome


def _child(first: int, count: int, kinds: list[str], folder: Path) -> None:
    """Read a batch and print its report; where the process dies, `at` says at which file."""
    import signal

    path, at = folder / "w", folder / "at"
    path.write_bytes(sound("torch"))
    read_all(path)
    path.write_bytes(described_model(Draw(0)))
    read_all(path)  # what is imported on the way does not count
    base = _peak()
    space = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (space + 4 * SPARE, resource.RLIM_INFINITY))

    def too_slow(*_: Any) -> None:
        raise TimeoutError(f"more than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_slow)
    report: dict[str, Any] = {"read": 0, "ends": Counter(), "failures": [], "slowest": 0.0, "most_memory": 0}
    for number in range(first, first + count):
        at.write_text(str(number))
        kind = kinds[number % len(kinds)]
        content = made(kind, number)
        path.write_bytes(content)
        started = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        try:
            report["ends"].update(f"{kind}: {end}" for end in read_all(path))
        except Exception as error:
            report["failures"].append(f"{kind} {number}: {type(error).__name__}: {str(error)[:300]}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        report["slowest"] = max(report["slowest"], time.monotonic() - started)
        grown = _peak() - base
        report["most_memory"] = max(report["most_memory"], grown)
        if grown > 2 * len(content) + SPARE:
            report["failures"].append(f"{kind} {number}: {grown >> 20} MiB for a file of {len(content)} bytes")
            base += grown
        report["read"] += 1
    print(json.dumps(report))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kind", action="append", choices=list(MAKERS))
    parser.add_argument("--child")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    if arguments.child:
        _child(*json.loads(arguments.child), arguments.folder)
        return 0
    print(f"seed {arguments.seed}", flush=True)
    started = time.monotonic()
    outcome = campaign(arguments.count, arguments.seed, kinds=arguments.kind)
    for end, count in sorted(outcome.ends.items()):
        print(f"{count:8d}  {end}")
    print(
        f"{outcome.read} files in {time.monotonic() - started:.0f} s, the slowest {outcome.slowest:.1f} s, "
        f"{outcome.most_memory >> 20} MiB beyond the start at most, {len(outcome.failures)} failures"
    )
    for failure in outcome.failures[:50]:
        print(failure)
    return bool(outcome.failures)


if __name__ == "__main__":
    sys.exit(main())
