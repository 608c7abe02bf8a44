"""All that a run tells of itself, to the screen and to each of its loggers (tables.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TextIO, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from detres.distributed import is_main
from detres.errors import raised_in, tell
from detres.training.logging.logger import Kind, Logger, PictureLogger, RunStart
from detres.training.logging.metric_log import cut_back
from detres.training.logging.report_lines import values_of
from detres.training.logging.terminal import Terminal, open_terminal
from detres.training.logging.waiting_file import WaitingFile
from detres.training.loop import StepReport

Pictures = Callable[[], Iterable[tuple[str, NDArray[np.uint8]]]]


@runtime_checkable
class _Waiting(Protocol):
    """A logger with a file for which what a disk refuses waits, so that it fails in nothing."""

    @property
    def waiting_file(self) -> WaitingFile: ...


class Logs:
    """The run's loggers, on the main rank; none elsewhere. One that fails is told once and left out from then on."""

    def __init__(self, run: RunStart, loggers: Sequence[Logger], terminal: TextIO | None) -> None:
        """loggers: not started yet. Raises UserError where metrics.jsonl cannot be cut back to the run's step."""
        self._step, self._told_of_disk, self._draws = run.step, False, True
        self._screen: Terminal | None = None
        self._loggers: list[Logger] = []
        if is_main():
            # Here, where it ends the run, as no failure of a logger does: lines of two pasts would contradict.
            cut_back(run)
            self._screen = open_terminal(terminal) if terminal is not None else None
            self._loggers = [*([self._screen] if self._screen is not None else []), *loggers]
            self._each("start", lambda logger: logger.start(run))

    def report(self, report: StepReport) -> None:
        """A completed step; one whose report was not read from the device leaves no line."""
        if (screen := self._screen) is not None:
            self._each("metrics", lambda _: screen.completed(report.step), [screen])
        if report.losses is not None:
            self._log("train", report.step, values_of(report))

    def evaluation(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._log("eval", step, metrics)

    def event(self, step: int, message: str) -> None:
        """Anything else worth keeping: a start, an interruption, another best."""
        self._log("event", step, {"message": message})

    def pictures(self, step: int, draw: Pictures) -> None:
        """Hand over what `draw` yields; it is not called where nobody takes pictures."""
        if not self._draws or not self._painters():
            return
        try:
            for name, rgb in draw():
                self._picture(name, step, rgb)
        except Exception as error:
            self._draws = False
            self._tell(f"pictures cannot be drawn: {raised_in(error, __file__)}; the run goes on without them")

    def close(self) -> None:
        """The screen last, so that it can tell of the others."""
        while self._loggers:
            last = self._loggers[-1]
            self._each("finish", lambda logger: logger.finish(), [last])
            self._leave_out(last)

    def _log(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        self._step = step
        # A copy each: what a logger of others does to its own changes no other's, nor what the run is judged by.
        self._each("metrics", lambda logger: logger.metrics(kind, step, dict(values)))
        self._tell_of_disk()

    def _painters(self) -> list[Logger]:
        return [logger for logger in self._loggers if isinstance(logger, PictureLogger)]

    def _picture(self, name: str, step: int, rgb: NDArray[np.uint8]) -> None:
        self._each("picture", lambda logger: logger.picture(name, step, rgb), self._painters())

    def _each(self, doing: str, act: Callable[[Any], None], loggers: Sequence[Logger] | None = None) -> None:
        """Of all loggers, or these. What failed is told when the others are done, so that all can be told of it."""
        failed, screen = [], self._screen
        for logger in tuple(self._loggers if loggers is None else loggers):
            try:
                act(logger)
            except Exception as error:
                failed.append((logger, error))
                self._leave_out(logger)
        for logger, failure in failed:
            self._tell_failed(logger, doing, failure, was_screen=logger is screen)

    def _leave_out(self, logger: Logger) -> None:
        # By identity: loggers of others may be equal to each other.
        self._loggers = [one for one in self._loggers if one is not logger]
        self._screen = None if logger is self._screen else self._screen

    def _tell_failed(self, logger: Logger, doing: str, error: Exception, *, was_screen: bool) -> None:
        if was_screen:
            why = error.strerror if isinstance(error, OSError) and error.strerror else error
            self._tell(f"progress cannot be shown any more: {why}; the run goes on")
        else:
            what = f"the logger {type(logger).__name__} failed in {doing}"
            self._tell(f"{what}: {raised_in(error, __file__)}; the run goes on without it")

    def _tell(self, message: str) -> None:
        """As an event; as a warning where no screen shows it."""
        self.event(self._step, message)
        if self._screen is None:
            tell(message)

    def _tell_of_disk(self) -> None:
        """Once of all files of the folder: what ails one of them ails the others, too."""
        files = [logger.waiting_file for logger in self._loggers if isinstance(logger, _Waiting)]
        ailing = next(((file.path, file.error) for file in files if file.error is not None), None)
        if ailing is not None and not self._told_of_disk:
            self._told_of_disk = True
            path, error = ailing
            tell(
                f"{path}: cannot be written: {error.strerror}; the run goes on, and what it has to say "
                "waits until there is room"
            )
