"""Schedules that look at results, laid over those of the step alone; what they have seen is their state.

An *evaluation* is one of the validation set, a *measurement* one of a training batch (loop.py).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detres.distributed import sum_over_ranks, world_size
from detres.errors import ConfigError
from detres.training.best import lower_is_better
from detres.training.schedules import Rates, Schedule, constant

TRAINING_ERROR = "top1_error"


def plateau(
    rates: Rates, *, gamma: float = 0.1, patience: int = 5, threshold: float = 0.001, end_factor: float = 0.0
) -> Schedule:
    """The recipe's rate, lowered whenever evaluations no longer get better."""
    return PlateauSchedule(
        constant(rates), rates.metric, gamma=gamma, patience=patience, threshold=threshold, end_factor=end_factor
    )


class PlateauSchedule:
    """Another schedule's rate, times gamma whenever `patience` evaluations in a row were no better than the best.

    metric: errors and losses shall fall, anything else shall rise. threshold: by how much an evaluation must beat the
    best to count as better. end_factor: the least share of the rate that is left. Source: He et al. 2015, section 3.4.
    """

    def __init__(
        self,
        schedule: Schedule,
        metric: str = "top1_error",
        *,
        gamma: float = 0.1,
        patience: int = 5,
        threshold: float = 0.001,
        end_factor: float = 0.0,
    ) -> None:
        self.schedule, self.metric = schedule, metric
        self.gamma, self.patience, self.threshold, self.end_factor = gamma, patience, threshold, end_factor
        self.best: float | None = None
        self.waited = 0
        """Evaluations since the best one, or since the rate last fell."""
        self.drops = 0

    def lr_at(self, step: int) -> float:
        return self.schedule.lr_at(step) * max(self.gamma**self.drops, self.end_factor)

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Note an evaluation; one that left the metric undefined says nothing."""
        self.schedule.observe(step, metrics)
        value = metrics.get(self.metric)
        if value is None:
            return
        if self._is_better(value):
            self.best, self.waited = float(value), 0
            return
        self.waited += 1
        if self.waited == self.patience:
            self.waited, self.drops = 0, self.drops + 1

    def _is_better(self, value: float) -> bool:
        if self.best is None:
            return True
        gain = self.best - value if lower_is_better(self.metric) else value - self.best
        return gain > self.threshold

    def measure(self, step: int, micro_batches: Sequence[Mapping[str, Tensor]]) -> None:
        self.schedule.measure(step, micro_batches)

    def state_dict(self) -> dict[str, Any]:
        own = {"best": self.best, "waited": self.waited, "drops": self.drops}
        return {**own, "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited, self.drops = state["best"], state["waited"], state["drops"]
        self.schedule.load_state_dict(state["schedule"])


class WarmupUntil:
    """`factor` times another schedule's rate until the training error falls below `error`, from then on that rate.

    The error is the mean over windows of `window` steps, one after the other; its sum stays on the device, and one
    number is read from there a window while the warm-up lasts. Source: He et al. 2015, section 4.2 (ResNet-110).
    """

    def __init__(self, schedule: Schedule, error: float, *, factor: float, window: int = 50) -> None:
        self.schedule, self.error, self.factor, self.window = schedule, error, factor, window
        self.over = False
        self._sum: Tensor | float = 0.0
        """Of the errors of the window's steps so far, over all ranks."""
        self._steps = 0

    def lr_at(self, step: int) -> float:
        return self.schedule.lr_at(step) * (1.0 if self.over else self.factor)

    def measure(self, step: int, micro_batches: Sequence[Mapping[str, Tensor]]) -> None:
        """Add a step's error to its window. A collective call while the warm-up lasts."""
        self.schedule.measure(step, micro_batches)
        if self.over:
            return
        if TRAINING_ERROR not in micro_batches[0]:
            raise ConfigError(
                f"schedule.warmup_error waits for the {TRAINING_ERROR} of the training batches, which this model does "
                "not measure; use warmup_steps"
            )
        of_step = torch.stack([measured[TRAINING_ERROR] for measured in micro_batches]).float().mean()
        self._sum, self._steps = self._sum + sum_over_ranks(of_step) / world_size(), self._steps + 1
        if self._steps == self.window:
            self.over = float(self._sum) / self.window < self.error
            self._sum, self._steps = 0.0, 0

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        self.schedule.observe(step, metrics)

    def state_dict(self) -> dict[str, Any]:
        own = {"over": self.over, "sum": float(self._sum), "steps": self._steps}
        return {**own, "schedule": self.schedule.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.over, self._sum, self._steps = state["over"], state["sum"], state["steps"]
        self.schedule.load_state_dict(state["schedule"])
