"""What somebody published beside what was measured here, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from detres.report.figures import COLOURS, GREY, INK, figure_of_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Pair:
    """One row: the published figure, None where there is none, and what each of our runs measured, if any did."""

    name: str
    published: float | None
    measured: Sequence[float] = ()


def comparison_figure(panels: Sequence[tuple[str, Sequence[Pair]]], *, title: str = "") -> Figure:
    """A panel for each quantity: rings are published, dots our means, thin lines one deviation about them."""
    rows = max((len(pairs) for _, pairs in panels), default=1)
    figure, axes_of = figure_of_panels(len(panels), title=title, width=5.2, height=1.4 + 0.38 * rows)
    for axes, (quantity, pairs) in zip(axes_of, panels, strict=True):
        places = np.arange(len(pairs))
        published = np.array([np.nan if pair.published is None else pair.published for pair in pairs])
        means = np.array([np.mean(pair.measured) if len(pair.measured) else np.nan for pair in pairs])
        spread = [float(np.std(pair.measured, ddof=1)) if len(pair.measured) > 1 else 0.0 for pair in pairs]
        axes.hlines(places, published, means, color=GREY, linewidth=1.0)
        axes.plot(published, places, "o", markersize=8, markerfacecolor="none", color=INK, label="the paper")
        if np.isfinite(means).any():
            axes.errorbar(means, places, xerr=spread, fmt="o", markersize=5, color=COLOURS[0], label="detres")
        axes.set_yticks(places, [pair.name for pair in pairs])
        axes.set_ylim(len(pairs) - 0.5, -0.5)
        axes.set_xlabel(quantity, color=INK)
        axes.legend(frameon=False, fontsize=9, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return figure
