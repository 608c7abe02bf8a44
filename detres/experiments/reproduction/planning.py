"""What a row takes before anything of it is done: which runs, in which folders, how far they are, on what data.

A run lies in OUT/CONFIG/seedN. It is *finished* when its last step was evaluated.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from detres.config.classification_schema import ClassificationConfig
from detres.config.difference import check_resumable
from detres.config.loading import Layer, load_config
from detres.data.classification_sets import load_classified
from detres.errors import ConfigError, DataError
from detres.experiments.evaluation_places import default_split
from detres.experiments.reproduction.rows import Row, Table
from detres.experiments.reproduction.smoke import smoke_layers
from detres.training.checkpoints import existing_checkpoint
from detres.training.metric_log import read_metrics


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
    """One training run, wanted or there. recipe: the config's file as it is; config: what is trained."""

    recipe: ClassificationConfig
    config: ClassificationConfig
    folder: Path

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
        evaluated = any(line["kind"] == "eval" and line["step"] == self.steps for line in self.lines)
        return evaluated and existing_checkpoint(self.folder) is not None

    @property
    def seconds_per_step(self) -> float | None:
        """As its own lines say; None where it has none."""
        timed = [line["seconds_per_step"] for line in self.lines if line.get("seconds_per_step")]
        return median(timed) if timed else None

    def seen_afresh(self) -> Run:
        """The same run, its lines read again."""
        return replace(self)


@dataclass(frozen=True)
class Plan:
    """A row and its runs. groups: one a seed, of the runs that are tested together. obstacle: why it cannot be run."""

    row: Row
    groups: tuple[tuple[Run, ...], ...]
    obstacle: str | None = None

    @property
    def runs(self) -> tuple[Run, ...]:
        return tuple(run for group in self.groups for run in group)

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
    # Several configs are an ensemble, of which there is one.
    seeds = settings.seeds if len(row.configs) == 1 else 1
    groups = []
    for seed in range(seeds):
        met = Counter[str]()
        group = []
        for stem in row.configs:
            group.append(_plan_run(stem, seed + met[stem], settings))
            met[stem] += 1
        groups.append(tuple(group))
    if table.is_counted:
        return Plan(row, tuple(groups))
    for run in (run for group in groups for run in group):
        _check_folder(run)
    data = groups[0][0].config.data
    found = data.model_dump_json()
    if found not in looked_for:
        looked_for[found] = _obstacle(groups[0][0].config)
    return Plan(row, tuple(groups), looked_for[found])


def _plan_run(stem: str, seed: int, settings: Settings) -> Run:
    recipe = load_config(stem)
    own = f"training.seed={seed}"
    layers = [*settings.layers, *(smoke_layers(recipe) if settings.smoke else ())]
    config = load_config(stem, [*settings.overrides, own], layers=layers)
    return Run(recipe, config, settings.out / stem / f"seed{seed}")


def _check_folder(run: Run) -> None:
    if not (run.folder / "config.yaml").is_file():
        return
    check_resumable(load_config(run.folder / "config.yaml"), run.config, str(run.folder))
    if run.step > run.steps:
        raise ConfigError(
            f"{run.folder}: this run went on to step {run.step}, and {run.steps} steps are asked for; name another "
            "folder with --out, or set training.steps to what it has"
        )


def _obstacle(config: ClassificationConfig) -> str | None:
    """Why there are no data to train and test on; None where there are."""
    try:
        for split in ("train", default_split(config)):
            if not len(load_classified(config.data, split)):
                return f"the {split} split is empty"
    except DataError as error:
        return str(error)
    return None
