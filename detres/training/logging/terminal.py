"""A run on a terminal: a line that lives there, or one a report where the output is a pipe or a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol, TextIO

from detres.training.logging.logger import Kind, Logger, RunStart
from detres.training.logging.report_lines import line_of


class Terminal(Logger, Protocol):
    """What a run tells its user while it goes on: also of steps that leave no line."""

    def completed(self, step: int) -> None: ...


def open_terminal(stream: TextIO) -> Terminal:
    """A living line where `stream` is a terminal that can move its cursor, else lines."""
    if stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown"):
        from detres.training.logging.live_line import LiveLine

        return LiveLine(stream)
    return Lines(stream)


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
