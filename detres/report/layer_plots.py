"""Pictures of networks: how strongly their layers respond, and what their stages cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from detres.report.figures import COLOURS, GREY, INK, figure_of_panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def responses_figure(stds: Mapping[str, Sequence[float]], *, title: str = "") -> Figure:
    """Standard deviations of the layers' responses of several nets, in order above and sorted below (figure 7).

    stds: those of each net's layers, from the image on, by the net's name. Plain nets, by their name, are dashed.
    """
    figure, panels = figure_of_panels(1, 2, title=title, width=9.0, height=3.4)
    for place, (name, values) in enumerate(stds.items()):
        style: dict[str, Any] = {
            "color": COLOURS[place % len(COLOURS)],
            "linestyle": "--" if "plain" in name else "-",
            "linewidth": 1.6,
            "label": name,
        }
        layers = np.arange(1, len(values) + 1)
        panels[0].plot(layers, values, **style)
        panels[1].plot(layers, np.sort(values)[::-1], **style)
    for axes, order in zip(panels, ("layer, in order", "layers by their response, largest first"), strict=True):
        axes.set_xlabel(order, color=INK)
        axes.set_ylabel("std of the response", color=INK)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.locator_params(axis="x", integer=True)
        if stds:
            axes.legend(frameon=False, fontsize=9)
    return figure


def costs_figure(multiply_adds: Mapping[str, Mapping[str, int]], *, title: str = "") -> Figure:
    """Multiply-adds of each net's stages, side by side in one bar a net; {net: {stage: multiply-adds}}."""
    height = 1.2 + 0.42 * max(len(multiply_adds), 1)
    figure, (axes,) = figure_of_panels(1, title=title, width=8.4, height=height)
    stages = list(dict.fromkeys(stage for stages in multiply_adds.values() for stage in stages))
    places, ends = np.arange(len(multiply_adds)), np.zeros(len(multiply_adds))
    for stage, colour in zip(stages, (*COLOURS, GREY) * len(stages), strict=False):
        costs = np.array([counts.get(stage, 0) for counts in multiply_adds.values()]) / 1e9
        axes.barh(places, costs, left=ends, color=colour, label=stage, height=0.7)
        ends = ends + costs
    for place, end in zip(places, ends, strict=True):
        axes.annotate(f" {end:.4g}", (end, place), va="center", color=INK, fontsize=9)
    axes.set_yticks(places, list(multiply_adds))
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("multiply-adds of one image, 10⁹", color=INK)
    if stages:
        axes.legend(frameon=False, fontsize=9, ncols=len(stages), loc="lower right", bbox_to_anchor=(1.0, 1.0))
    return figure
