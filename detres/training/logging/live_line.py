"""A run's progress as it stands on a terminal: one line that always fits, and what there is room for below it."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment

from detres.training.best import Best, better
from detres.training.logging.logger import Kind, RunStart
from detres.training.logging.report_lines import line_of, loss_parts, speed_parts

_SHORTEST_BAR, _LONGEST_BAR = 6, 60
_GAP = "  "
_MOST_BELOW = 3
"""Lines below the first."""
_LEAST_HEIGHT = 8
"""Rows of a terminal that has room below the first line."""
_WINDOW = 300.0
"""Seconds whose speed tells the time left."""


@dataclass
class Progress:
    """What is known of a run: to be printed by rich's consoles.

    left: seconds. loss: the total, as a number. details: pieces for the lines below.
    """

    steps: int
    step: int
    left: float | None = None
    loss: str = ""
    best: Best | None = None
    details: list[str] = field(default_factory=list)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        yield from self._first_line(console, options, width)
        if console.height >= _LEAST_HEIGHT:
            below = _filled(self.details, width)
            for line in below if len(below) <= _MOST_BELOW else ():
                yield Segment.line()
                yield Segment(line)

    def _first_line(self, console: Console, options: ConsoleOptions, width: int) -> RenderResult:
        form = next((form for form in self._forms() if form.least_width <= width), _Form([f"{self.step}/{self.steps}"]))
        yield Segment(form.pieces[0][:width])
        if form.has_bar:
            bar = min(width - form.least_width + _SHORTEST_BAR, _LONGEST_BAR)
            yield Segment(_GAP)
            yield from console.render(ProgressBar(self.steps, self.step, width=bar), options.update(width=bar))
        for piece in form.pieces[1:]:
            yield Segment(_GAP + piece)

    def _forms(self) -> Iterator[_Form]:
        """From all that may be said to the least."""
        count, loss = f"{self.step}/{self.steps}", self.loss and f"loss {self.loss}"
        left = _clock(self.left) if self.left is not None else ""
        where, best, short, shortest = _forms_of_best(self.best) if self.best else ("", "", "", "")
        yield _form(f"step {count}", left and f"{left} left", loss, where, has_bar=True)
        yield _form(count, left, loss, best, has_bar=True)
        yield _form(count, left, loss, short, has_bar=True)
        yield _form(count, left, loss, shortest)
        yield _form(count, left, loss)
        yield _form(count, loss)
        yield _form(count, self.loss)


def _forms_of_best(best: Best) -> tuple[str, str, str, str]:
    value = 100 * best.value
    return f"best {best} at {best.step}", f"best {best}", f"{best.metric} {value:.1f} %", f"{best.metric} {value:.0f} %"


@dataclass(frozen=True)
class _Form:
    """One way to say it; the bar stands behind the first piece."""

    pieces: list[str]
    has_bar: bool = False

    @property
    def least_width(self) -> int:
        widths = [*map(len, self.pieces), *([_SHORTEST_BAR] if self.has_bar else [])]
        return sum(widths) + len(_GAP) * (len(widths) - 1)


def _form(*pieces: str, has_bar: bool = False) -> _Form:
    return _Form([piece for piece in pieces if piece], has_bar)


def _environment_of(stream: TextIO) -> Mapping[str, str]:
    """Without the sizes that a shell or a container exported: a terminal knows its own, also once it changes."""
    try:
        os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):  # no terminal, or no file at all
        return os.environ
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


class LiveLine:
    """A logger that shows Progress; what else is told scrolls above it."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = Console(file=stream, _environ=_environment_of(stream)), clock

    def start(self, run: RunStart) -> None:
        self._metric = run.config.get("training", {}).get("best_metric")
        self._progress = Progress(run.steps, run.step, best=run.best)
        self._passed = deque([(self._clock(), run.step)])
        self._live = Live(self._progress, console=self._console, refresh_per_second=4)
        self._live.start()

    def completed(self, step: int) -> None:
        now = self._clock()
        self._passed.append((now, step))
        while now - self._passed[0][0] > _WINDOW and len(self._passed) > 2:
            self._passed.popleft()
        since, first = self._passed[0]
        self._progress.step = step
        self._progress.left = (self._progress.steps - step) * (now - since) / max(step - first, 1)

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        if kind == "train":
            self._progress.loss = f"{values['loss']:#.3g}"
            self._progress.details = [*loss_parts(values), f"lr {values['lr']:#.3g}", *speed_parts(values)]
            return
        if kind == "eval" and self._metric in values:
            found = better(self._progress.best, self._metric, values, step)
            self._progress.best = found or self._progress.best
        self._console.print(line_of(kind, step, values, self._progress.steps), markup=False, highlight=False)

    def finish(self) -> None:
        self._live.stop()


def _filled(pieces: Iterable[str], width: int) -> list[str]:
    """The pieces in lines of at most this width; a piece that is longer has one of its own."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + len(_GAP) + len(piece) <= width:
            lines[-1] += _GAP + piece
        else:
            lines.append(piece)
    return lines


def _clock(seconds: float) -> str:
    """1:12:30; hours are not made days, so that it stays short."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
