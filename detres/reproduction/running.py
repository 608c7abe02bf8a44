"""A row is run: its nets are trained, or gone on with, and every figure of it is measured once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from detres.classification.responses import Responses
from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import of_schema
from detres.data.classification.datasets import load_classified
from detres.reporter import SILENT, Reporter
from detres.reproduction.detection_measuring import DetectionResult, measure_detectors
from detres.reproduction.estimates import net_cost
from detres.reproduction.localization_measuring import measure_localizer_row
from detres.reproduction.planning import Plan, Run, Settings
from detres.reproduction.rows import Cost, DetectionMetric, Error, LocalizationError, Table, TestSeconds
from detres.reproduction.smoke import smoke_test
from detres.tasks.analysing import responses_of
from detres.tasks.classification.evaluation import evaluate_classifier
from detres.tasks.runs.evaluation_places import Asked, default_split, file_digest
from detres.tasks.runs.opened_model import open_models
from detres.tasks.training import train


@dataclass(frozen=True)
class Machine:
    """Where it runs, and who is told."""

    device: torch.device
    reporter: Reporter = SILENT

    @property
    def options(self) -> dict[str, Any]:
        """As evaluations take it."""
        return {"device": str(self.device), "reporter": self.reporter}


@dataclass(frozen=True)
class Result:
    """What is known of a row. values: by the column's title, one a seed that was measured; none: nothing is known.
    responses: of the first seed's net, where they were asked for. trouble: why a figure is missing.
    """

    plan: Plan
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    responses: Responses | None = None
    trouble: str | None = None

    @property
    def name(self) -> str:
        return self.plan.row.name


def train_row(plan: Plan, machine: Machine) -> None:
    """Train what is not finished. Raises UserError as training does."""
    for run in plan.needed:
        # Two rows, or one that stands in two tables, may share a run.
        if not run.seen_afresh().is_finished:
            machine.reporter.say(f"{plan.row.name}: {run.folder}, {'going on' if run.step else 'starting'}")
            train(
                run.config,
                run.folder,
                weights=run.weights,
                resume=True,
                device=str(machine.device),
                reporter=replace(machine.reporter, say=lambda line: machine.reporter.say(f"  {line}")),
            )


def measure_row(plan: Plan, table: Table, settings: Settings, machine: Machine) -> Result:
    """Every figure of a row that its finished runs can give."""
    whole = [group for group in plan.groups if table.is_counted or all(run.is_finished for run in group)]
    values: dict[str, tuple[float, ...]] = {}
    responses: list[Responses] = []
    found: list[DetectionResult] = []
    trouble = _trouble(plan, table)
    for column in table.columns:
        match column.source:
            case Cost(what):
                values[column.title] = (_cost(plan.groups[0][0], what),)
            case Error() as error:
                values[column.title] = tuple(_error(group, error, plan, settings, machine) for group in whole)
            case DetectionMetric() | TestSeconds() as source:
                found = found or [measure_detectors(group, plan, settings, **machine.options) for group in whole]
                key = "seconds_per_image" if isinstance(source, TestSeconds) else source.metric
                values[column.title] = tuple(v for each in found if (v := each.value(key)) is not None)
                trouble = trouble or next((each.trouble for each in found if each.trouble), None)
            case LocalizationError(metric):
                located = [measure_localizer_row(group[0], plan, settings, **machine.options) for group in whole]
                values[column.title] = tuple(v for each in located if (v := each.value(metric)) is not None)
                if column.title in plan.row.paper:
                    trouble = trouble or next((each.trouble for each in located if not values[column.title]), None)
            case _:
                responses = [_responses(group[0], machine.device) for group in whole]
                values[column.title] = tuple(each.mean for each in responses)
    return Result(plan, values, responses[0] if responses else None, trouble)


def _trouble(plan: Plan, table: Table) -> str | None:
    if not plan.runs:
        return plan.obstacle
    unfinished = [] if table.is_counted else [run for run in plan.runs if not run.is_finished]
    if not unfinished:
        return None
    if plan.obstacle:
        return plan.obstacle
    return "; ".join(f"{run.folder}: {run.step} of {run.steps} steps" for run in unfinished)


def _cost(run: Run, what: str) -> float:
    cost = net_cost(of_schema(run.recipe, ClassificationConfig))
    return cost.parameters / 1e6 if what == "parameters" else cost.multiply_adds / 1e9


def _error(group: Sequence[Run], error: Error, plan: Plan, settings: Settings, machine: Machine) -> float:
    """In per cent. It is measured once, and found again as long as the weights are the same."""
    error = smoke_test(error) if settings.smoke else error
    files = [run.last_weights for run in group]
    split = "train" if error.split == "train" else default_split(group[0].config)
    place = group[0].folder if len(group) == 1 else settings.out / "ensembles" / plan.row.name.replace(" ", "_")
    folder = place / "eval" / _label(split, error)
    metrics = _measured_before(folder, [file_digest(file) for file in files])
    if metrics is None:
        machine.reporter.say(f"{plan.row.name}: measuring {folder.name}")
        asked = Asked(
            overrides=_overrides(error),
            split=split,
            out=folder,
            device=str(machine.device),
            reporter=machine.reporter.without_lines(),
        )
        metrics = evaluate_classifier(open_models(files, "classification"), asked)
        assert metrics is not None, "the only process is the main one"
    return 100 * metrics[error.metric]


def _measured_before(folder: Path, digests: Sequence[str]) -> dict[str, Any] | None:
    file = folder / "metrics.json"
    metrics = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return metrics if metrics.get("weights") == list(digests) else None


def _label(split: str, error: Error) -> str:
    """Such as val-dense-224+256-mirrors; a test by the recipe is the split alone."""
    parts = [split, "" if error.crops is None else f"{error.crops}", "+".join(map(str, error.scales))]
    return "-".join(part for part in (*parts, "mirrors" if error.flip else "") if part)


def _overrides(error: Error) -> list[str]:
    stated = [f"test.crops={error.crops}"] if error.crops is not None else []
    stated += [f"test.scales={list(error.scales)}"] if error.scales else []
    return stated + (["test.flip=true"] if error.flip else [])


def _responses(run: Run, device: torch.device) -> Responses:
    images = load_classified(of_schema(run.config, ClassificationConfig).data, default_split(run.config))
    return responses_of(run.last_weights, images, device)
