"""The best evaluation of a run so far, and how long the run has waited for a better one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detres.errors import ConfigError


@dataclass(frozen=True)
class Best:
    """The best value of the metric that decides, and the step that had it."""

    metric: str
    value: float
    step: int

    def __str__(self) -> str:
        return f"{self.metric} {100 * self.value:.2f} %"


def better(best: Best | None, metric: str, metrics: Mapping[str, Any], step: int) -> Best | None:
    """The evaluation of `step` where it beats the best; else None, as where it left the metric undefined (None).

    Raises ConfigError where the metric was not measured.
    """
    if metric not in metrics:
        raise ConfigError(
            f"training.best_metric={metric}: the evaluation gave no such metric; it gave {', '.join(metrics)}"
        )
    value = metrics[metric]
    if value is None:
        return None
    sign = -1.0 if lower_is_better(metric) else 1.0
    return Best(metric, float(value), step) if best is None or sign * value > sign * best.value else None


def lower_is_better(metric: str) -> bool:
    """True of errors and losses, by the last or the first word of their name: top1_error, loss_rpn_box."""
    return metric.endswith("error") or metric.startswith("loss")
