"""What follows from another batch than the recipe's: the learning rate grows with it, the counts of steps shrink.

Images seen, and the rate an image is learned at, stay those of the recipe (Goyal et al. 2017, the linear scaling rule).
Scaled are the rate and the counts that stand for an amount of images: the length of the run, of the warm-up, the
milestones, and how often the model is evaluated or kept. `log_every` and `checkpoint_every` guard against lost time,
and stay.

A run that is made shorter (`training.steps=400`) ends before what its recipe does late in the run. So the milestones
and the warm-up are scaled with its length where they would lie beyond its end, and told.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from detres.config.problems import describe_problems
from detres.config.sections import ExperimentConfig
from detres.errors import ConfigError

AnyExperiment = TypeVar("AnyExperiment", bound=ExperimentConfig)

_RATES = (("optimizer", "lr"),)
_COUNTS = (
    ("training", "steps"),
    ("training", "eval_every"),
    ("training", "keep_every"),
    ("schedule", "warmup_steps"),
    ("schedule", "milestones"),
)


@dataclass(frozen=True)
class Scaled:
    """One value that was scaled, to what; `key` is dotted. str() is the line to print."""

    key: str
    recipe: Any
    value: Any
    to: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {_text(self.recipe)} -> {_text(self.value)}"


def scale_to_batch(
    config: AnyExperiment, *, recipe_batch: int, explicit: Collection[tuple[str, ...]]
) -> tuple[AnyExperiment, tuple[Scaled, ...]]:
    """Scale a config that states the recipe's schedule to its own training.batch.

    recipe_batch: the batch that rates and counts were chosen for. explicit: paths the user set, which are never scaled.
    """
    factor = config.training.batch / recipe_batch
    if factor == 1.0:
        return config, ()
    values = config.model_dump()
    scaled = []
    for group, key in (*_RATES, *_COUNTS):
        old = values[group][key]
        if (group, key) in explicit or not old or _has_text(old):
            continue
        new = old * factor if (group, key) in _RATES else _scale_count(old, factor)
        values[group][key] = new
        scaled.append(Scaled(f"{group}.{key}", old, new, f"training.batch={config.training.batch}"))
    return checked(type(config), values, _to_batch(values)), tuple(scaled)


def scale_to_steps(
    config: AnyExperiment, *, recipe_steps: float, explicit: Collection[tuple[str, ...]]
) -> tuple[AnyExperiment, tuple[Scaled, ...]]:
    """Bring milestones and warm-up into a run of training.steps, which the user set, where they lie beyond its end.

    recipe_steps: the length that they were chosen for. explicit: paths the user set, which are never scaled.
    """
    steps = config.training.steps
    if ("training", "steps") not in explicit or steps >= recipe_steps:
        return config, ()
    values = config.model_dump()
    schedule, scaled = values["schedule"], []
    for key in ("milestones", "warmup_steps"):
        old = schedule[key]
        if _has_text(old):
            continue
        last = old if isinstance(old, int) else max(old, default=0)
        if last >= steps and ("schedule", key) not in explicit:
            schedule[key] = _scale_count(old, recipe_steps / steps)
            scaled.append(Scaled(f"schedule.{key}", old, schedule[key], f"training.steps={steps}"))
    return (checked(type(config), values, _to_batch(values)), tuple(scaled)) if scaled else (config, ())


def checked(schema: type[AnyExperiment], values: dict[str, Any], why: str) -> AnyExperiment:
    """The config of these values. why: what was done to them, for where they no longer fit each other."""
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        lines = "\n".join(text for _, text in describe_problems(error, schema))
        raise ConfigError(f"{why}: {lines}") from None


def _to_batch(values: Mapping[str, Any]) -> str:
    return f"scaled to training.batch={values['training']['batch']}"


def _scale_count(count: int | tuple[int, ...], factor: float) -> int | tuple[int, ...]:
    if isinstance(count, int):
        return max(1, round(count / factor))
    milestones: list[int] = []
    for milestone in count:
        # Two that fall on one step still ascend, so that gamma is applied as often as the recipe says.
        milestones.append(max(round(milestone / factor), milestones[-1] + 1 if milestones else 1))
    return tuple(milestones)


def _has_text(value: Any) -> bool:
    """Whether it is a length in epochs, or a share of the run, which stand for the same images at any batch."""
    return isinstance(value, str) or (isinstance(value, tuple) and any(isinstance(one, str) for one in value))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(list(value) if isinstance(value, tuple) else value)
