"""What a row takes before anything of it is done: which runs, in which folders, how far they are, on what data.

A run lies in OUT/CONFIG/seedN. It is *finished* when its last step was evaluated, or, of a detector, was saved: there
are sets whose annotations a server keeps. What is finished needs its training data no more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Sized
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from detres.checkpoints.reading import completed_steps, existing_checkpoint
from detres.checkpoints.saving import MODEL_FILE
from detres.config.difference import check_resumable
from detres.config.loading import AnyConfig, Layer, load_config
from detres.data.classification.datasets import load_classified
from detres.data.detection.datasets import load_dataset
from detres.data.localization.datasets import load_localized
from detres.data.places import SplitName
from detres.errors import ConfigError, DataError
from detres.reproduction.beginnings import layer_of_beginning
from detres.reproduction.rows import Row, Table
from detres.reproduction.smoke import smoke_layers
from detres.tasks.runs.evaluation_places import default_split
from detres.tasks.runs.run_config import run_config
from detres.training.logging.metric_log import read_metrics

_LOADERS: Mapping[str, Callable[[Any, SplitName], Sized]] = {
    "classification": load_classified,
    "detection": load_dataset,
    "localization": load_localized,
}

# Where files lie, which a finished run needs no more, or finds elsewhere.
_PLACES = frozenset({"data.root", "model.backbone.weights"})


@dataclass(frozen=True)
class Settings:
    """What holds for all rows. layers, overrides: laid over every recipe. seeds: how many runs of each net."""

    out: Path
    seeds: int = 1
    layers: tuple[Layer, ...] = ()
    overrides: tuple[str, ...] = ()
    smoke: bool = False


@dataclass(frozen=True)
class Run:
    """One training run, wanted or there. recipe: the config's file as it is; config: what is trained.
    beginning: the run whose weights it begins with.
    """

    recipe: AnyConfig
    config: AnyConfig
    folder: Path
    beginning: Run | None = None

    @cached_property
    def lines(self) -> list[dict[str, Any]]:
        """Of its metrics.jsonl; none where it has not begun."""
        return read_metrics(self.folder) if (self.folder / "metrics.jsonl").is_file() else []

    @property
    def steps(self) -> int:
        return self.config.training.steps

    @property
    def step(self) -> int:
        """Steps that were logged so far."""
        return max((line["step"] for line in self.lines), default=0)

    @property
    def is_finished(self) -> bool:
        last = existing_checkpoint(self.folder)
        if last is None:
            return False
        evaluated = any(line["kind"] == "eval" and line["step"] == self.steps for line in self.lines)
        return evaluated or (self.config.task == "detection" and completed_steps(last) == self.steps)

    @property
    def last_weights(self) -> Path:
        """Those the run ended with: the best were chosen by the images they are tested on."""
        return self.folder / "checkpoints" / "last" / MODEL_FILE

    @property
    def weights(self) -> Path | None:
        """Those it begins with; a localizer's config says which trunk and proposals it takes."""
        if self.beginning is None or self.config.task != "detection":
            return None
        return self.beginning.last_weights

    @property
    def needed(self) -> tuple[Run, ...]:
        """What is to be trained for it, in order: before itself, what it begins with, unless it has begun."""
        if self.beginning is None or existing_checkpoint(self.folder) is not None:
            return (self,)
        return (*self.beginning.needed, self)

    @property
    def seconds_per_step(self) -> float | None:
        """As its own lines say; None where it has none."""
        timed = [line["seconds_per_step"] for line in self.lines if line.get("seconds_per_step")]
        return median(timed) if timed else None

    def seen_afresh(self) -> Run:
        """The same run, its lines read again."""
        return replace(self, beginning=self.beginning and self.beginning.seen_afresh())


@dataclass(frozen=True)
class Plan:
    """A row and its runs. groups: one a seed, of the runs that are tested together. obstacle: why it cannot be run."""

    row: Row
    groups: tuple[tuple[Run, ...], ...]
    obstacle: str | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for group in self.groups for run in group)

    @property
    def needed(self) -> tuple[Run, ...]:
        """The runs and what they begin with, each once and in order."""
        return tuple({run.folder: run for each in self.runs for run in each.needed}.values())

    def seen_afresh(self) -> Plan:
        """The same plan, the lines of its runs read again."""
        return replace(self, groups=tuple(tuple(run.seen_afresh() for run in group) for group in self.groups))


def plan_table(table: Table, settings: Settings) -> list[Plan]:
    """The plan of every row; a row without its data is told from one that can be run.

    Raises ConfigError where a run's folder holds another run, or one that went on for longer.
    """
    looked_for: dict[str, str | None] = {}
    return [_plan_row(row, table, settings, looked_for) for row in table.rows]


def _plan_row(row: Row, table: Table, settings: Settings, looked_for: dict[str, str | None]) -> Plan:
    if not row.configs:
        return Plan(row, (), row.absent)
    # Several configs are an ensemble, of which there is one.
    seeds = settings.seeds if len(row.configs) == 1 else 1
    beginning = None
    for stem in (row.begins_with or "").split():
        beginning = _plan_run(stem, 0, settings, beginning)
    groups = []
    for seed in range(seeds):
        met = Counter[str]()
        group = []
        for stem in row.configs:
            group.append(_plan_run(stem, seed + met[stem], settings, beginning))
            met[stem] += 1
        groups.append(tuple(group))
    if table.is_counted:
        return Plan(row, tuple(groups))
    plan = Plan(row, tuple(groups))
    for run in plan.needed:
        _check_folder(run)
    for run in plan.needed:
        splits = _splits(run, tested=run in plan.runs)
        found = f"{splits} of {run.config.data.model_dump_json()}"
        if found not in looked_for:
            looked_for[found] = _obstacle(run.config, splits)
        plan = replace(plan, obstacle=plan.obstacle or looked_for[found])
    return plan


def _plan_run(stem: str, seed: int, settings: Settings, beginning: Run | None = None) -> Run:
    recipe = load_config(stem)
    layers = [*settings.layers, *(smoke_layers(recipe) if settings.smoke else ())]
    if beginning is not None:
        layers.append(layer_of_beginning(stem, recipe, beginning.config, beginning.folder, smoke=settings.smoke))
    config = load_config(stem, [*settings.overrides, f"training.seed={seed}"], layers=layers)
    return Run(recipe, config, settings.out / recipe.recipe / f"seed{seed}", beginning)


def _check_folder(run: Run) -> None:
    began = run_config(run.folder)
    if began is None:
        return
    check_resumable(began, run.config, str(run.folder), also=_PLACES if run.is_finished else ())
    if run.step > run.steps:
        raise ConfigError(
            f"{run.folder}: this run went on to step {run.step}, and {run.steps} steps are asked for; name another "
            "folder with --out, or set training.steps to what it has"
        )


def _splits(run: Run, *, tested: bool) -> tuple[SplitName, ...]:
    """What is needed of its data, to be trained as far as it is not, and to be tested."""
    trained: tuple[SplitName, ...] = () if run.is_finished else ("train",)
    return (*trained, default_split(run.config)) if tested else trained


def _obstacle(config: AnyConfig, splits: Sequence[SplitName]) -> str | None:
    """Why there are no data to train and test on; None where there are."""
    try:
        for split in splits:
            if not len(_LOADERS[config.task](config.data, split)):
                return f"the {split} split is empty"
    except DataError as error:
        return str(error)
    return None
