"""Training and test error of several runs against the step, as in figures 4 and 6 of the paper.

Thin lines are the error on the training batches as they were learned from, bold ones the error on the test images.
Rows are those of metrics.jsonl (see plots.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detres.errors import DataError
from detres.report.figures import COLOURS, INK, figure_of_panels
from detres.report.plots import Rows, curve, smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ERROR = "top1_error"

# Points of a thin line: it is an average over as many lines of the log as leave so many of them.
_POINTS = 100


@dataclass(frozen=True)
class Reached:
    """What a run reached; errors in 0..1, None where none was logged.

    step: of the last line. best, best_step, last: of the test error. training: the mean over the last 1/100 of the
    lines, at least one.
    """

    step: int
    best: float | None = None
    best_step: int | None = None
    last: float | None = None
    training: float | None = None

    def __str__(self) -> str:
        def percent(value: float | None) -> str:
            return "–" if value is None else f"{100 * value:.2f} %"

        best = "–" if self.best is None else f"{percent(self.best)} at step {self.best_step}"
        return f"test error best {best}, last {percent(self.last)}; training error {percent(self.training)}"


def reached(rows: Rows, *, error: str = ERROR) -> Reached:
    """The best and the last errors of a run's rows."""
    steps, tested = curve(rows, "eval", error)
    _, trained = curve(rows, "train", error)
    step = max((int(row["step"]) for row in rows), default=0)
    training = float(trained[-_window(len(trained)) :].mean()) if len(trained) else None
    if not len(tested):
        return Reached(step, training=training)
    best = int(tested.argmin())
    return Reached(step, float(tested[best]), int(steps[best]), float(tested[-1]), training)


def error_curves_figure(
    panels: Mapping[str, Mapping[str, Rows]], *, title: str = "", error: str = ERROR, marks: Sequence[int] = ()
) -> Figure:
    """Panels of runs by name; the panels share the scale of their errors, so that they can be compared.

    marks: steps at which a dotted line stands, such as those at which the rate falls.
    Raises DataError where no run holds the error.
    """
    everything = [rows for runs in panels.values() for rows in runs.values()]
    curves = [curve(rows, kind, error)[1] for rows in everything for kind in ("train", "eval")]
    values = np.concatenate(curves or [np.empty(0)])
    if not len(values):
        raise DataError(f"the lines of {len(everything)} runs hold no {error} to draw; let a run go on for a while")
    figure, axes_of = figure_of_panels(len(panels), title=title, height=4.8, same_y=True)
    for axes, (name, runs) in zip(axes_of, panels.items(), strict=True):
        for place, (run, rows) in enumerate(runs.items()):
            _draw_run(axes, run, rows, COLOURS[place % len(COLOURS)], error)
        for mark in marks:
            axes.axvline(mark, color=INK, linewidth=0.8, linestyle=":", alpha=0.5)
        axes.set_title(name, color=INK, fontsize=11)
        axes.set_xlabel("optimizer step", color=INK)
        axes.set_xlim(left=0)
        axes.legend(frameon=False, fontsize=9, title="best test error", title_fontsize=9, loc="upper right")
    # Where training began says nothing, and would leave no room for the rest.
    axes_of[0].set_ylim(0, min(100.0, 100 * 1.15 * float(np.quantile(values, 0.9))) or None)
    axes_of[0].set_ylabel("error, % (thin: training, bold: test)", color=INK)
    return figure


def _draw_run(axes: Axes, name: str, rows: Rows, colour: str, error: str) -> None:
    steps, trained = curve(rows, "train", error)
    if len(trained):
        axes.plot(steps, 100 * smoothed(trained, _window(len(trained))), color=colour, linewidth=0.8, alpha=0.8)
    steps, tested = curve(rows, "eval", error)
    best = f"{100 * tested.min():.2f} %" if len(tested) else "–"
    # A run of one evaluation is a point, which a line alone would not show.
    marker = "o" if len(tested) == 1 else None
    axes.plot(steps, 100 * tested, color=colour, linewidth=2.4, marker=marker, label=f"{name}  {best}", zorder=3)


def _window(lines: int) -> int:
    return max(1, lines // _POINTS)
