"""A training run that is killed on its way: python killed_run.py CONFIG OUT STEP key=value …

The process ends by kill -9 when the micro-batches of STEP + 1 are asked for: STEP steps are done, nothing is tidied.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import detres.tasks.training as training
from detres.config.loading import load_config
from detres.training.loop import Batch
from detres.training.running import Run


def main(cfg: str, out: str, kill_at: str, *overrides: str) -> None:
    run_training = training.run_training

    def killing(run: Run, *parts: Any, **options: Any) -> Any:
        *others, batches_from = parts

        def cut_short(step: int) -> Iterator[Batch]:
            batches = batches_from(step)
            for _ in range((int(kill_at) - step) * run.accumulate):
                yield next(batches)
            os.kill(os.getpid(), signal.SIGKILL)

        return run_training(run, *others, cut_short, **options)

    training.run_training = killing
    training.train(load_config(Path(cfg), overrides), out, device="cpu")


if __name__ == "__main__":
    main(*sys.argv[1:])
