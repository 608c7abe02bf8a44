"""Outcomes as a table for a document, and one of them as a line for people who watch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from detres.benchmarks.gpu.entries import Outcome

COLUMNS = ("row", "ms", "images/s", "against the peer", "of the limit", "idle", "waits", "GiB", "remarks")


def ratios(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """How many times faster each row is than the peer of the same work, by name, where both were measured."""
    rates = {each.work: each.figures.get("images_per_s") for each in outcomes if each.peer}
    found = {}
    for each in outcomes:
        ours, theirs = each.figures.get("images_per_s"), rates.get(each.work)
        if not each.peer and isinstance(ours, float) and isinstance(theirs, float):
            found[each.name] = ours / theirs
    return found


def markdown(outcomes: Sequence[Outcome], head: Sequence[str]) -> str:
    """Lines of text, and the table below them."""
    against = ratios(outcomes)
    rows = [[_escaped(cell) for cell in _cells(each, against.get(each.name))] for each in outcomes]
    rule = ["---", *["---:"] * (len(COLUMNS) - 2), "---"]
    lines = ["| " + " | ".join(row) + " |" for row in ([*COLUMNS], rule, *rows)]
    return "\n".join([*head, "", *lines, ""])


def line(outcome: Outcome) -> str:
    """Such as: train/r50_fpn/batch8/ours_bf16: 61.20 ms, 130.7 images/s, idle 12 %, 6 waits, 9.1 GiB."""
    names = ("ms", "images/s", "", "of the limit", "idle", "waits", "GiB", "")
    cells = _cells(outcome, None)[1:]
    said = [f"{cell} {name}" for cell, name in zip(cells, names, strict=True) if cell and name]
    told = [*said, cells[-1]] if cells[-1] else said
    return f"{outcome.name}: {', '.join(told) or outcome.state}"


def _cells(outcome: Outcome, ratio: float | None) -> list[str]:
    figures: dict[str, Any] = outcome.figures

    def cell(name: str, form: Callable[[Any], str]) -> str:
        return form(figures[name]) if figures.get(name) is not None else ""

    return [
        outcome.name,
        cell("ms", lambda ms: f"{ms:.4g}"),
        cell("images_per_s", lambda rate: f"{rate:.4g}"),
        "" if ratio is None else f"{ratio:.2f}",
        cell("limit_share", lambda share: f"{share:.0%}"),
        cell("idle_share", lambda share: f"{share:.0%}"),
        cell("waits", lambda count: f"{count:.3g}"),
        cell("allocated_MiB", lambda mib: f"{mib / 1024:.1f}"),
        "; ".join(_remarks(outcome)),
    ]


def _remarks(outcome: Outcome) -> list[str]:
    remarks: list[str] = [] if outcome.state == "measured" else [outcome.state]
    if outcome.note:
        remarks.append(outcome.note)
    figures = outcome.figures
    if "passed" in figures:
        remarks.append(f"{'agrees' if figures['passed'] else 'DIFFERS'}: {figures['what']}")
    for name, form in (("minutes_for_64k_steps", "64,000 steps in {:.3g} min"), ("TFLOP_per_s", "{:.4g} TFLOP/s")):
        if name in figures:
            remarks.append(form.format(figures[name]))
    return remarks


def _escaped(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
