"""A table as text, as JSON and as a picture. What was not measured is a dash, and is not drawn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from detres.config.classification_schema import ClassificationConfig
from detres.config.lengths import steps_of
from detres.config.loading import of_schema
from detres.files.whole import write_whole
from detres.report.comparison_plot import Pair, comparison_figure
from detres.report.error_curves import ERROR, error_curves_figure
from detres.report.figures import write_figure
from detres.report.layer_plots import costs_figure, responses_figure
from detres.reproduction.estimates import net_cost
from detres.reproduction.planning import Settings
from detres.reproduction.rows import Column, Cost, Table, TestSeconds
from detres.reproduction.running import Result

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DASH = "–"
SMOKE = "A smoke run: a few steps on drawn shapes. None of detres's figures means anything."


def write_table(name: str, table: Table, results: Sequence[Result], settings: Settings, machine: str) -> list[Path]:
    """OUT/NAME.md and .json. machine: in words, for the record."""
    text = markdown(table, results, settings, machine)
    return [
        write_whole(settings.out / f"{name}.md", text),
        write_whole(settings.out / f"{name}.json", _json(name, table, results, settings, machine)),
    ]


def draw_table(name: str, table: Table, results: Sequence[Result], settings: Settings) -> list[Path]:
    """OUT/NAME.png, where there is something to draw."""
    figure = _figure(table, results, f"{table.title} (smoke run)" if settings.smoke else table.title)
    return [write_figure(figure, settings.out / f"{name}.png")] if figure else []


def markdown(table: Table, results: Sequence[Result], settings: Settings, machine: str = "") -> str:
    """The table with its title, its notes, what the recipes were changed by, and what is missing and why."""
    lines = [f"# {table.title}", ""]
    if settings.smoke:
        lines += [f"**{SMOKE}**", ""]
    heads = [head for column in table.columns for head in _heads(column)]
    rows = [["", *heads, "seeds"], ["---"] * (len(heads) + 2)]
    for result in results:
        cells = [cell for column in table.columns for cell in _cells(result, column)]
        rows.append([result.name, *cells, _seeds(table, result)])
    lines += [f"| {' | '.join(row)} |" for row in rows]
    lines += ["", *(f"- {line}" for line in [*_remarks(table, results), *_changes(table, settings)]), "", machine]
    return "\n".join(lines).rstrip() + "\n"


def number(values: Sequence[float], places: int) -> str:
    """The mean, with the deviation between runs where there are several; a dash where there is none."""
    if not values:
        return DASH
    spread = f" ± {stdev(values):.{places}f}" if len(values) > 1 else ""
    return f"{fmean(values):.{places}f}{spread}"


def _heads(column: Column) -> tuple[str, ...]:
    # The paper has no times.
    return (column.title,) if isinstance(column.source, TestSeconds) else (f"{column.title}: paper", "detres")


def _cells(result: Result, column: Column) -> tuple[str, ...]:
    published = result.plan.row.paper.get(column.title)
    text = DASH if published is None else published.text or f"{published.value:g}"
    measured = number(result.values.get(column.title, ()), column.places)
    return (measured,) if isinstance(column.source, TestSeconds) else (text, measured)


def _seeds(table: Table, result: Result) -> str:
    """How many runs the figures are of."""
    counts = [len(result.values.get(c.title, ())) for c in table.columns if not isinstance(c.source, Cost)]
    most = max(counts, default=0)
    return str(most) if most else DASH


def _remarks(table: Table, results: Sequence[Result]) -> list[str]:
    found = {result.name: result for result in results}
    title = table.columns[0].title
    remarks = list(table.notes)
    for first, second in table.contrasts:
        values = [found[name].values.get(title, ()) if name in found else () for name in (first, second)]
        if all(values):
            apart = fmean(values[1]) - fmean(values[0])
            remarks.append(f"{second} against {first}: {title.removesuffix(', %')} {apart:+.2f} points.")
    stand_ins = {
        result.name: result.plan.groups[0][0].config.model.backbone.name
        for result in results
        if not table.is_counted and any(_is_stand_in(run) for run in result.plan.runs)
    }
    if stand_ins:
        remarks.append("Stood in for by a small net: " + ", ".join(f"{k} by {v}" for k, v in stand_ins.items()) + ".")
    troubles = by_reason((result.name, result.trouble) for result in results)
    return remarks + [f"{names}: {reason}" for reason, names in troubles]


def by_reason(rows: Iterable[tuple[str, str | None]]) -> list[tuple[str, str]]:
    """(reason, `the rows, by their names`) of rows and the reasons why they were left out, each reason once."""
    names: dict[str, list[str]] = {}
    for name, reason in rows:
        if reason:
            names.setdefault(reason, []).append(name)
    return [(reason, ", ".join(those)) for reason, those in names.items()]


def _changes(table: Table, settings: Settings) -> list[str]:
    """Whatever was laid over the recipes: with it, a figure is of another experiment than the paper's."""
    sources = [*(layer.source for layer in settings.layers), *settings.overrides]
    return [f"The recipes were changed by: {', '.join(sources)}."] if sources and not table.is_counted else []


def _is_stand_in(run: Any) -> bool:
    return run.config.model.backbone.name != run.recipe.model.backbone.name


def _json(name: str, table: Table, results: Sequence[Result], settings: Settings, machine: str) -> str:
    rows = [
        {
            "name": result.name,
            "runs": [[str(run.folder) for run in group] for group in result.plan.groups],
            "steps": [[run.step for run in group] for group in result.plan.groups],
            "trouble": result.trouble,
            "figures": {column.title: _figures(result, column) for column in table.columns},
            "responses": _responses(result),
        }
        for result in results
    ]
    content = {
        "table": name,
        "title": table.title,
        "smoke": settings.smoke,
        "changes": _changes(table, settings),
        "machine": machine,
        "rows": rows,
    }
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _figures(result: Result, column: Column) -> dict[str, Any]:
    published = result.plan.row.paper.get(column.title)
    return {
        "paper": None if published is None else published.value,
        "detres": list(result.values.get(column.title, ())),
    }


def _responses(result: Result) -> dict[str, float] | None:
    found = result.responses
    return None if found is None else dict(zip(found.layers, found.stds, strict=True))


def _figure(table: Table, results: Sequence[Result], title: str) -> Figure | None:
    match table.picture:
        case "comparison":
            return comparison_figure(_pairs(table, results), title=title)
        case "costs":
            return costs_figure({result.name: _stages(result) for result in results}, title=title)
        case "responses":
            stds = {result.name: result.responses.stds for result in results if result.responses}
            return responses_figure(stds, title=title) if stds else None
    panels = _curves(results)
    marks = {tuple(map(steps_of, run.config.schedule.milestones)) for result in results for run in result.plan.runs}
    common = marks.pop() if len(marks) == 1 else ()
    return error_curves_figure(panels, title=title, marks=common) if panels else None


def _pairs(table: Table, results: Sequence[Result]) -> list[tuple[str, list[Pair]]]:
    panels = []
    for column in table.columns:
        if isinstance(column.source, Cost | TestSeconds):
            continue
        papers = [result.plan.row.paper.get(column.title) for result in results]
        values = [result.values.get(column.title, ()) for result in results]
        pairs = [
            Pair(result.name, None if paper is None else paper.value, measured)
            for result, paper, measured in zip(results, papers, values, strict=True)
        ]
        panels.append((column.title, pairs))
    return panels


def _curves(results: Sequence[Result]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The lines of each row's first run, by panel; of a run that goes on, those it has."""
    panels: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for result in results:
        run = result.plan.runs[0]
        if any(ERROR in line for line in run.lines):
            panels.setdefault(result.plan.row.group, {})[result.name] = run.lines
    return panels


def _stages(result: Result) -> Mapping[str, int]:
    recipe = of_schema(result.plan.runs[0].recipe, ClassificationConfig)
    return {stage.stage: stage.multiply_adds for stage in net_cost(recipe).stages}
