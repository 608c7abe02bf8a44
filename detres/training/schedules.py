"""The learning rate as a function of the step, and nothing else wherever the recipe allows.

A *step* here is the number of optimizer steps completed before: the first step of a run has the rate of step 0, and a
milestone at 60,000 takes effect after 60,000 steps. A *factor* multiplies the recipe's rate.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor


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
class StepSchedule:
    """Warm-up, then a curve; a pure function of the step, so it has no state."""

    lr: float
    steps: int
    name: Literal["constant", "step", "cosine", "poly"] = "step"
    warmup_steps: int = field(default=0, kw_only=True)
    warmup_factor: float = field(default=0.001, kw_only=True)
    milestones: Sequence[int] = field(default=(), kw_only=True)
    gamma: float = field(default=0.1, kw_only=True)
    power: float = field(default=0.9, kw_only=True)
    end_factor: float = field(default=0.0, kw_only=True)

    def lr_at(self, step: int) -> float:
        return self.lr * warmup(step, self.warmup_steps, self.warmup_factor) * self._curve(step)

    def _curve(self, step: int) -> float:
        share = min(step / self.steps, 1.0)
        match self.name:
            case "constant":
                return 1.0
            case "step":
                return step_decay(step, self.milestones, self.gamma)
            case "cosine":
                return cosine_decay(share, self.end_factor)
            case "poly":
                return poly_decay(share, self.power, self.end_factor)

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
