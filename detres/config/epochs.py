"""From lengths in epochs and shares of a run to steps, once the training set says how many steps an epoch has."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any, TypeVar

from detres.config.lengths import in_steps
from detres.config.scaling import Scaled, checked
from detres.config.sections import ExperimentConfig

AnyExperiment = TypeVar("AnyExperiment", bound=ExperimentConfig)

# Where a length may be written in epochs or as a share, besides training.epochs itself.
_LENGTHS = (
    ("training", "eval_every"),
    ("training", "checkpoint_every"),
    ("training", "keep_every"),
    ("schedule", "warmup_steps"),
    ("schedule", "milestones"),
)
_LONGEST_WARMUP = 0.1
"""Of a run whose recipe would warm up beyond its end."""


def asks_for_epochs(config: ExperimentConfig) -> bool:
    """Whether a length of the config is not in steps yet."""
    if config.training.epochs is not None:
        return True
    values = [getattr(getattr(config, group), key) for group, key in _LENGTHS]
    return any(isinstance(one, str) for value in values for one in (value if isinstance(value, tuple) else (value,)))


def with_steps(config: AnyExperiment, images: int) -> tuple[AnyExperiment, tuple[Scaled, ...]]:
    """The config with every length in steps and training.epochs null, and what was turned into what.

    images: of the training set, at least one. The last epoch is whole: of a part of a step a step is made.
    """
    epoch = images / config.training.batch
    values, turned = config.model_dump(), []

    def turn(group: str, key: str, value: Any) -> None:
        old = values[group][key]
        if value != old:
            values[group][key] = value
            turned.append(Scaled(f"{group}.{key}", old, value, f"{images} images, {config.training.batch} a step"))

    if config.training.epochs is not None:
        turn("training", "steps", max(1, math.ceil(config.training.epochs * epoch - 1e-9)))
        values["training"]["epochs"] = None
    run = values["training"]["steps"]
    for group, key in _LENGTHS:
        value = values[group][key]
        if isinstance(value, tuple):
            turn(group, key, _ascending(in_steps(one, epoch=epoch, run=run) for one in value))
        elif value is not None:
            turn(group, key, in_steps(value, epoch=epoch, run=run))
    if config.training.epochs is not None and values["schedule"]["warmup_steps"] >= run:
        turn("schedule", "warmup_steps", round(_LONGEST_WARMUP * run))
    return checked(type(config), values, "turned into steps"), tuple(turned)


def with_shares(
    config: AnyExperiment, *, recipe_steps: int, explicit: Collection[tuple[str, ...]]
) -> tuple[AnyExperiment, tuple[Scaled, ...]]:
    """Milestones that were chosen for a run of recipe_steps, as shares of one whose length in epochs the user set.

    explicit: paths the user set, which stay as they are.
    """
    milestones = config.schedule.milestones
    asked = ("training", "epochs") in explicit and config.training.epochs is not None
    if not asked or not milestones or ("schedule", "milestones") in explicit:
        return config, ()
    shares = tuple(one if isinstance(one, str) else f"{100 * min(one / recipe_steps, 1.0):.6g} %" for one in milestones)
    values = config.model_dump()
    values["schedule"]["milestones"] = shares
    scaled = Scaled("schedule.milestones", milestones, shares, f"training.epochs={config.training.epochs:g}")
    return checked(type(config), values, "scaled to training.epochs"), (scaled,) if shares != milestones else ()


def _ascending(steps: Iterable[int]) -> tuple[int, ...]:
    """Milestones that fall on one step still ascend, so that gamma is applied as often as the recipe says."""
    wanted: list[int] = list(steps)
    ascending: list[int] = []
    if wanted != sorted(wanted):
        return tuple(wanted)  # which the schema refuses
    for step in wanted:
        ascending.append(max(step, ascending[-1] + 1) if ascending else step)
    return tuple(ascending)


def never_reached(config: ExperimentConfig) -> Iterator[str]:
    """A line for each length of the schedule that the run is too short for; of epochs and shares the set says more."""
    steps, schedule = config.training.steps, config.schedule
    milestones, warmup = schedule.milestones, schedule.warmup_steps
    if config.training.epochs is not None:
        return
    if milestones and all(isinstance(one, int) and one >= steps for one in milestones) and schedule.name == "step":
        yield (
            f"schedule.milestones={list(milestones)}: the run ends at training.steps={steps}, before the first of "
            "them, so the rate is never lowered"
        )
    if isinstance(warmup, int) and warmup >= steps:
        yield (
            f"schedule.warmup_steps={warmup}: the run ends at training.steps={steps}, before the rate has grown to "
            f"optimizer.lr={config.optimizer.lr:g}"
        )
