"""What follows from another batch than the recipe's: the learning rate grows with it, the counts of steps shrink.

Images seen, and the rate an image is learned at, stay those of the recipe (Goyal et al. 2017, the linear scaling rule).
Scaled are the rate and the counts that stand for an amount of images: the length of the run, of the warm-up, the
milestones, and how often the model is evaluated or kept. `log_every` and `checkpoint_every` guard against lost time,
and stay.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from detres.config.sections import ExperimentConfig

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
    """One value that was scaled; `key` is dotted. str() is the line to print."""

    key: str
    recipe: Any
    value: Any

    def __str__(self) -> str:
        return f"{self.key}: {_text(self.recipe)} -> {_text(self.value)}"


def scale_to_batch(
    config: ExperimentConfig, *, recipe_batch: int, explicit: Collection[tuple[str, ...]]
) -> tuple[ExperimentConfig, tuple[Scaled, ...]]:
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
        if (group, key) in explicit or not old:
            continue
        new = old * factor if (group, key) in _RATES else _scale_count(old, factor)
        values[group][key] = new
        scaled.append(Scaled(f"{group}.{key}", old, new))
    return type(config).model_validate(values), tuple(scaled)


def _scale_count(count: int | tuple[int, ...], factor: float) -> int | tuple[int, ...]:
    if isinstance(count, int):
        return max(1, round(count / factor))
    milestones: list[int] = []
    for milestone in count:
        # Two that fall on one step still ascend, so that gamma is applied as often as the recipe says.
        milestones.append(max(round(milestone / factor), milestones[-1] + 1 if milestones else 1))
    return tuple(milestones)


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(list(value) if isinstance(value, tuple) else value)
