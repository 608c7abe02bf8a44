"""The learning rate as a function of the step, and nothing else wherever the recipe allows.

A *step* here is the number of optimizer steps completed before: the first step of a run has the rate of step 0, and a
milestone at 60,000 takes effect after 60,000 steps. A *factor* multiplies the recipe's rate.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

Curve = Callable[[int], float]
"""A factor of the rate by step."""


class Schedule(Protocol):
    """What a run asks of a learning-rate schedule. One that looks at results keeps them in its state, which the
    checkpoint holds, so that a run that goes on has the same rates.
    """

    def lr_at(self, step: int) -> float:
        """The rate of the step that follows `step` completed ones."""

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Told after every evaluation that is due by its interval, on every rank alike."""

    def measure(self, step: int, micro_batches: Sequence[Mapping[str, Tensor]]) -> None:
        """Told after every step what was measured on each of this rank's micro-batches, 0-dim tensors on the device.

        Whoever reads one makes the host wait for the device.
        """

    def state_dict(self) -> dict[str, Any]:
        """Plain values that describe everything observed."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what state_dict returned."""


@dataclass(frozen=True)
class Rates:
    """What every schedule is given, and takes its own parameters beside.

    lr: the recipe's rate. steps: of the whole run. warmup_steps, warmup_factor: as warmup takes them. metric: of the
    evaluations that a schedule may look at.
    """

    lr: float
    steps: int
    warmup_steps: int = 0
    warmup_factor: float = 0.001
    metric: str = "top1_error"

    def along(self, curve: Curve) -> StepSchedule:
        """The schedule of a warm-up and then a curve."""
        return StepSchedule(self, curve)


def constant(rates: Rates) -> Schedule:
    """The recipe's rate to the end."""
    return rates.along(lambda step: 1.0)


def step(rates: Rates, *, milestones: Sequence[int] = (), gamma: float = 0.1) -> Schedule:
    """gamma times less at every milestone."""
    return rates.along(lambda step: step_decay(step, milestones, gamma))


def cosine(rates: Rates, *, end_factor: float = 0.0) -> Schedule:
    """Half a cosine down to end_factor."""
    return rates.along(lambda step: cosine_decay(min(step / rates.steps, 1.0), end_factor))


def poly(rates: Rates, *, power: float = 0.9, end_factor: float = 0.0) -> Schedule:
    """A power of what is left of the run."""
    return rates.along(lambda step: poly_decay(min(step / rates.steps, 1.0), power, end_factor))


@dataclass(frozen=True)
class StepSchedule:
    """Warm-up, then a curve; a pure function of the step, so it has no state."""

    rates: Rates
    curve: Curve

    def lr_at(self, step: int) -> float:
        rates = self.rates
        return rates.lr * warmup(step, rates.warmup_steps, rates.warmup_factor) * self.curve(step)

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        pass  # the step alone decides

    def measure(self, step: int, micro_batches: Sequence[Mapping[str, Tensor]]) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        pass  # there is none


def warmup(step: int, warmup_steps: int, warmup_factor: float) -> float:
    """Linear from warmup_factor at step 0 to 1 at warmup_steps. Source: Goyal et al. 2017, section 2.2."""
    if step >= warmup_steps:
        return 1.0
    return warmup_factor + (1.0 - warmup_factor) * step / warmup_steps


def step_decay(step: int, milestones: Sequence[int], gamma: float) -> float:
    """gamma to the power of the milestones (ascending) that lie behind."""
    return gamma ** bisect.bisect_right(milestones, step)


def cosine_decay(share: float, end_factor: float) -> float:
    """Half a cosine from 1 at share 0 of the run to end_factor at its end. Source: Loshchilov and Hutter 2017."""
    return end_factor + (1.0 - end_factor) * 0.5 * (1.0 + math.cos(math.pi * share))


def poly_decay(share: float, power: float, end_factor: float) -> float:
    """(1 - share) to a power, from 1 to end_factor."""
    return end_factor + (1.0 - end_factor) * (1.0 - share) ** power
