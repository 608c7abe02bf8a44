"""A run on a terminal: a bar that lives there, or one line a report where the output is a pipe or a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detres.training.logging.logger import Kind, Logger, RunStart
from detres.training.logging.report_lines import line_of, losses_text


class Terminal(Logger, Protocol):
    """What a run tells its user while it goes on: also of steps that leave no line."""

    def completed(self, step: int) -> None: ...


def open_terminal(stream: TextIO) -> Terminal:
    """A bar where `stream` is a terminal, else lines."""
    return LiveBar(stream) if stream.isatty() else Lines(stream)


class Lines:
    """One line for everything that is told."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def start(self, run: RunStart) -> None:
        self._steps = run.steps

    def completed(self, step: int) -> None:
        pass  # most steps have no line

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        print(line_of(kind, step, values, self._steps), file=self._stream, flush=True)

    def finish(self) -> None:
        pass  # the stream is its owner's


class LiveBar:
    """Losses, speed and time left on one living line; what is said scrolls above it."""

    def __init__(self, stream: TextIO) -> None:
        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[losses]}"),
            console=Console(file=stream),
            speed_estimate_period=300,
        )

    def start(self, run: RunStart) -> None:
        self._steps = run.steps
        self._task = self._progress.add_task("", total=run.steps, completed=run.step, speed="", losses="")
        self._progress.start()

    def completed(self, step: int) -> None:
        self._progress.update(self._task, completed=step)

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        if kind == "train":
            speed = f"{values['seconds_per_step']:.2f} s/step"
            self._progress.update(self._task, speed=speed, losses=losses_text(values))
        else:
            said = line_of(kind, step, values, self._steps)
            self._progress.console.print(said, markup=False, highlight=False)

    def finish(self) -> None:
        self._progress.stop()
