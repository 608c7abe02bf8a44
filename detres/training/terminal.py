"""A run on a terminal: a bar that lives there, or one line a report where the output is a pipe or a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from detres.training.loop import StepReport
from detres.training.report_lines import evaluation_line, losses_text, report_line


class Terminal(Protocol):
    """What a run tells its user while it goes on."""

    def report(self, report: StepReport) -> None: ...
    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None: ...
    def event(self, step: int, message: str) -> None: ...
    def close(self) -> None: ...


def open_terminal(stream: TextIO, *, steps: int, step: int = 0) -> Terminal:
    """A bar where `stream` is a terminal, else lines; steps: the length of the run, step: where it goes on from."""
    return LiveBar(stream, steps, step) if stream.isatty() else Lines(stream, steps)


class Lines:
    """One line a report that was read from the device."""

    def __init__(self, stream: TextIO, steps: int) -> None:
        self._stream, self._steps = stream, steps

    def report(self, report: StepReport) -> None:
        if report.losses is not None:
            self._say(report_line(report, self._steps))

    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._say(evaluation_line(step, metrics))

    def event(self, step: int, message: str) -> None:
        self._say(f"step {step} {message}")

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def close(self) -> None:
        pass  # the stream is its owner's


class LiveBar:
    """Losses, speed and time left on one living line; what is said scrolls above it."""

    def __init__(self, stream: TextIO, steps: int, step: int) -> None:
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
        self._task = self._progress.add_task("", total=steps, completed=step, speed="", losses="")
        self._progress.start()

    def report(self, report: StepReport) -> None:
        self._progress.update(self._task, completed=report.step)
        if report.losses is not None:
            speed = f"{report.seconds:.2f} s/step"
            self._progress.update(self._task, speed=speed, losses=losses_text(report))

    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._say(evaluation_line(step, metrics))

    def event(self, step: int, message: str) -> None:
        self._say(f"step {step} {message}")

    def _say(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False)

    def close(self) -> None:
        self._progress.stop()
