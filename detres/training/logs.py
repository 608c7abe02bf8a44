"""Where a run tells of itself: the files in its folder, and a terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TextIO

from detres.distributed import is_main
from detres.errors import tell
from detres.training.loop import StepReport
from detres.training.metric_log import MetricLog
from detres.training.run_state import RunState
from detres.training.terminal import open_terminal


class Log(Protocol):
    """One of these places."""

    def report(self, report: StepReport) -> None: ...
    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None: ...
    def event(self, step: int, message: str) -> None: ...
    def close(self) -> None: ...


class Logs:
    """The run's files and its terminal, on the main rank; nothing elsewhere.

    A terminal that went away is left out from then on.
    """

    def __init__(self, run: Path, steps: int, state: RunState, terminal: TextIO | None) -> None:
        self._logs: list[Log] = []
        if is_main():
            self._logs.append(MetricLog(run, steps=steps, step=state.step, evaluated=state.evaluated))
            if terminal is not None:
                self._logs.append(open_terminal(terminal, steps=steps, step=state.step))

    def report(self, report: StepReport) -> None:
        self._each(lambda log: log.report(report))

    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._each(lambda log: log.evaluation(step, metrics))

    def event(self, step: int, message: str) -> None:
        self._each(lambda log: log.event(step, message))

    def close(self) -> None:
        self._each(lambda log: log.close())

    def _each(self, act: Callable[[Log], None]) -> None:
        for log in tuple(self._logs):
            try:
                act(log)
            except OSError as error:
                self._logs.remove(log)
                tell(f"progress cannot be shown any more: {error.strerror or error}; the run goes on")
