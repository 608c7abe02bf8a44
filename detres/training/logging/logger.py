"""Whom a run tells of itself: the protocol of loggers, also of yours.

To add one to detres: a file with a class of this protocol, and a line in tables.py. One of your own is named by
`training.logs: [json, module:callable]`, or given as `detres.train(config, logs=[MyLogger()])`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detres.training.best import Best

Kind = Literal["train", "eval", "event"]


@dataclass(frozen=True)
class RunStart:
    """A run that begins or goes on.

    folder: of the run. config: resolved, as config.yaml has it. steps: the run's length. step: the completed step that
    it goes on from, 0 where it begins. evaluated: the last step that was evaluated by then. best: of the evaluations by
    then, None where there was none.
    """

    folder: Path
    config: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    step: int = 0
    evaluated: int = 0
    best: Best | None = None

    def keeps(self, kind: str, step: int) -> bool:
        """Whether what was logged before still counts: what lies ahead is done, and logged, again."""
        return step <= (self.evaluated if kind == "eval" else self.step)


@runtime_checkable
class Logger(Protocol):
    """Called on the main rank alone: start once, metrics in the order of the steps, finish once however the run ends.

    What it raises is told once and ends no run: the logger is called no more, its `finish` neither.
    """

    def start(self, run: RunStart) -> None: ...

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        """values: of "train" numbers (losses, measurements, lr, gradient_norm, seconds_per_step, waiting_for_data,
        images_per_second, peak_memory_gib); of "eval" what was measured, None where it is undefined, also text and
        nested groups; of "event" the `message`.
        """

    def finish(self) -> None: ...


@runtime_checkable
class PictureLogger(Logger, Protocol):
    """A logger that takes pictures besides."""

    def picture(self, name: str, step: int, rgb: NDArray[np.uint8]) -> None:
        """rgb: (H, W, 3). name: the same at every step that has this picture."""


def finite_numbers(values: Mapping[str, Any]) -> dict[str, float]:
    """Those of the values that can be plotted."""
    return {name: value for name, value in values.items() if isinstance(value, int | float) and math.isfinite(value)}
