"""A schedule that is the user's code, held to what a run asks of one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from detres.errors import ConfigError
from detres.own_code import call_own
from detres.training.schedules import Schedule

if TYPE_CHECKING:
    from torch import Tensor


class OwnSchedule:
    """The schedule itself; what it raises, and a rate that is none, is a ConfigError with its name.

    A rate that is not finite would be taken for a loss that is not.
    """

    def __init__(self, schedule: Schedule, name: str) -> None:
        self.schedule, self.name = schedule, name

    def lr_at(self, step: int) -> float:
        rate = self._call("lr_at", step)
        if not isinstance(rate, Real) or not math.isfinite(rate) or rate < 0:
            raise ConfigError(
                f"schedule.name {self.name}: its rate at step {step} is {rate!r}, expected a finite number, 0 or more; "
                "mend it, or name another"
            )
        return float(rate)

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._call("observe", step, metrics)

    def measure(self, step: int, micro_batches: Sequence[Mapping[str, Tensor]]) -> None:
        self._call("measure", step, micro_batches)

    def state_dict(self) -> dict[str, Any]:
        return self._call("state_dict")

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._call("load_state_dict", state)

    def _call(self, method: str, *arguments: Any) -> Any:
        what = f"schedule.name {self.name}: its {method}{f' of step {arguments[0]}' if method == 'lr_at' else ''}"
        return call_own(getattr(self.schedule, method), what, *arguments)
