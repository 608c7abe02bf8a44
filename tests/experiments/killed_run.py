"""A training run that is killed on its way: python killed_run.py CONFIG OUT STEP key=value …

The process ends by kill -9 when the micro-batches of STEP + 1 are asked for: STEP steps are done, nothing is tidied.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import detres.experiments.training as training
from detres.config.loading import load_config
from detres.structures import DetectionBatch


def main(cfg: str, out: str, kill_at: str, *overrides: str) -> None:
    whole = training.training_batches

    def killing(*arguments: object) -> tuple[Callable[[int], Iterator[DetectionBatch]], int]:
        batches_from, accumulate = whole(*arguments)

        def cut_short(step: int) -> Iterator[DetectionBatch]:
            batches = batches_from(step)
            for _ in range((int(kill_at) - step) * accumulate):
                yield next(batches)
            os.kill(os.getpid(), signal.SIGKILL)

        return cut_short, accumulate

    training.training_batches = killing
    training.train(load_config(Path(cfg), overrides), out, device="cpu")


if __name__ == "__main__":
    main(*sys.argv[1:])
