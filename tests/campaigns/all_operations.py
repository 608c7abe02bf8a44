"""A toy's run of two saves is killed at each of its file operations in turn: python -m tests.campaigns.all_operations.

The second save replaces the first one, is evaluated, saved once more and named best. What kills.py draws from whole
runs is here all that there is. Prints how many operations that were, and what the run lost by which.
"""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

import torch

from tests.campaigns.killed_runs import Run, toy_run
from tests.campaigns.kills import lost, measured_run

OPTIONS = {"steps": 2, "checkpoint": 1, "keep": 2, "evaluate": 2, "accumulate": 1, "log": 1}


class NeverAgain(random.Random):
    """Draws no second kill."""

    def random(self) -> float:
        return 1.0


def walk(name: str, run_it: Run, folder: Path) -> int:
    kind = measured_run(name, run_it, folder, NeverAgain())
    failures = 0
    for place in range(1, kind.measure.operations + 1):
        kills, what = lost(kind, folder, {"kill_at": place})
        if what is not None or kills != 1:
            failures += 1
            kept = folder / f"{name}-lost-{place}"
            (folder / f"{name}-killed").rename(kept)
            print(f"LOST {name} at operation {place}: {what}, {kills} kills; kept in {kept}", flush=True)
    print(f"{name}: {kind.measure.operations} file operations, {failures} runs lost", flush=True)
    return failures


def main() -> int:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1]) if sys.argv[1:] else Path(tempfile.mkdtemp(prefix="all-operations-"))
    folder.mkdir(parents=True, exist_ok=True)
    failures = [walk(name, toy_run(ema=decay, **OPTIONS), folder) for name, decay in (("toy", 0.0), ("toy+ema", 0.9))]
    return 1 if any(failures) else 0


if __name__ == "__main__":
    sys.exit(main())
