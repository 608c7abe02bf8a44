"""Curves of a training run from the rows of its metrics.jsonl.

A row is {"kind": "train" | "eval" | "event", "step": int, name: number, ...}; rows may hold any losses and metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detres.errors import DataError
from detres.report.figures import COLOURS, GREY, INK, figure_of_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Rows = Sequence[Mapping[str, Any]]

_METRICS = ("mAP50", "mAP50_07", "AP", "top1_error", "top5_error")


def training_figure(rows: Rows, *, title: str = "") -> Figure:
    """Losses against steps, and beside them the evaluation's metrics where there are any.

    Losses: every number whose name begins with "loss", smoothed, the unsmoothed total pale behind; the learning rate
    as a grey line. Metrics: mAP and AP or the errors, in per cent, the best of the first one marked.
    Raises DataError where no row holds a loss or a metric.
    """
    losses = sorted(_names(rows, "train", lambda name: name.startswith("loss")), key=lambda name: name != "loss")
    metrics = [name for name in _METRICS if name in _names(rows, "eval", lambda _: True)]
    if not losses and not metrics:
        raise DataError(
            f"{len(rows)} rows of metrics hold no loss and no metric to plot; let the run go on for a while"
        )
    panels = [draw for draw, names in ((_draw_losses, losses), (_draw_metrics, metrics)) if names]
    figure, row = figure_of_panels(len(panels), title=title)
    for draw, axes in zip(panels, row, strict=True):
        draw(axes, rows, losses if draw is _draw_losses else metrics)
        axes.set_xlabel("optimizer step", color=INK)
        axes.set_xlim(left=0)
    return figure


def smoothed(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """The running mean over `window` values around each place, fewer near the ends."""
    sums = np.cumsum(np.append(0.0, values))
    place = np.arange(len(values))
    begin = np.maximum(place - window // 2, 0)
    end = np.minimum(place + (window - 1) // 2 + 1, len(values))
    return (sums[end] - sums[begin]) / (end - begin)


def _draw_losses(axes: Axes, rows: Rows, names: list[str]) -> None:
    colours = dict(zip([name for name in names if name != "loss"], COLOURS * len(names), strict=False))
    for name in names:
        steps, values = curve(rows, "train", name)
        window = max(1, len(values) // 40)
        colour, width = (INK, 2.2) if name == "loss" else (colours[name], 1.4)
        if name == "loss" and window > 1:
            axes.plot(steps, values, color=GREY, linewidth=0.5, alpha=0.5)
        axes.plot(steps, smoothed(values, window), color=colour, linewidth=width, label=_label(name), zorder=3)
    # The first steps may be far above all that follows, so a few may be cut off.
    axes.set_ylim(0, 1.05 * max(float(np.quantile(curve(rows, "train", name)[1], 0.99)) for name in names) or None)
    steps, rates = curve(rows, "train", "lr")
    if len(rates):
        beside = axes.twinx()
        beside.plot(steps, rates, color=GREY, linewidth=1.0, linestyle=":")
        beside.set_ylabel("learning rate (dotted)", color=GREY)
        beside.set_ylim(0, 1.15 * float(rates.max()) or None)
        beside.tick_params(axis="y", colors=GREY)
        beside.ticklabel_format(axis="y", style="sci", scilimits=(-3, 3))
        beside.spines[["top", "left", "right"]].set_visible(False)
    axes.set_ylabel("loss", color=INK)
    axes.legend(frameon=False, fontsize=9)


def _draw_metrics(axes: Axes, rows: Rows, names: list[str]) -> None:
    for name, colour in zip(names, COLOURS, strict=False):
        steps, values = curve(rows, "eval", name)
        axes.plot(steps, 100 * values, color=colour, marker="o", markersize=4, linewidth=1.8, label=_label(name))
    steps, values = curve(rows, "eval", names[0])
    is_error = names[0].endswith("error")
    best = int(values.argmin() if is_error else values.argmax())
    axes.annotate(
        f"{100 * values[best]:.1f}",
        (steps[best], 100 * values[best]),
        xytext=(0, 8),
        textcoords="offset points",
        ha="center",
        color=COLOURS[0],
        fontweight="bold",
    )
    axes.set_ylim(0, None if is_error else 100)
    axes.set_ylabel("per cent", color=INK)
    axes.legend(frameon=False, fontsize=9, loc="upper right" if is_error else "lower right")


def _names(rows: Rows, kind: str, wanted: Callable[[str], bool]) -> list[str]:
    """Names of numbers in rows of a kind, in the order they first come up."""
    seen = {
        name: None
        for row in rows
        if row.get("kind") == kind
        for name, value in row.items()
        if name not in ("kind", "step") and _is_number(value) and wanted(name)
    }
    return list(seen)


def curve(rows: Rows, kind: str, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and values of one number; rows that lack it, or where it is not finite, are left out."""
    points = [(row["step"], row[name]) for row in rows if row.get("kind") == kind and _is_number(row.get(name))]
    steps, values = np.array(points, np.float64).reshape(-1, 2).T
    return steps, values


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _label(name: str) -> str:
    words = {"mAP50": "mAP@0.5 (area)", "mAP50_07": "mAP@0.5 (11 points)", "AP": "AP@[.5:.95]", "loss": "total"}
    return words.get(name, name.removeprefix("loss_").replace("_", " "))
