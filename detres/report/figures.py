"""What all of detres's diagrams share: their colours, their panels, and how they are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from detres.files.whole import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind eyes tell apart; what stands out is drawn in ink.
INK, GREY = "#1c2026", "#8a929c"
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")


def figure_of_panels(
    columns: int, rows: int = 1, *, title: str = "", width: float = 6.4, height: float = 4.2, same_y: bool = False
) -> tuple[Figure, list[Axes]]:
    """An empty figure and its panels, row by row. width, height: of a panel, in inches. same_y: one scale for all."""
    # matplotlib's object interface: no pyplot, so nothing global and no display.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * columns, height * rows), dpi=150, layout="constrained", facecolor="white")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=same_y).ravel().tolist()
    for axes in panels:
        axes.grid(alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, fontweight="bold", color=INK, parse_math=False)  # $ is a letter of names
    return figure, panels


def write_figure(figure: Figure, file: Path) -> Path:
    """Write a figure, whole or not at all; the file's ending (png, svg, pdf) is the format."""
    with whole_file(file) as stream:
        figure.savefig(stream, format=file.suffix.lstrip(".") or "png")
    return file
