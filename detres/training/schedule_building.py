"""A schedule by its name: one of the table, or code of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from detres.errors import ConfigError
from detres.lookup import heeded
from detres.own_code import call_own, find_own_function
from detres.tables import SCHEDULES
from detres.training.own_schedule import OwnSchedule
from detres.training.schedules import Rates, Schedule

_METHODS = ("lr_at", "observe", "measure", "state_dict", "load_state_dict")


def build_schedule(
    lr: float,
    steps: int,
    *,
    name: str,
    warmup_steps: int = 0,
    warmup_factor: float = 0.001,
    warmup_error: float | None = None,
    warmup_window: int = 50,
    metric: str = "top1_error",
    options: Mapping[str, Any] = MappingProxyType({}),
    **offered: Any,
) -> Schedule:
    """The schedule that a config's section describes, with the recipe's rate over so many steps.

    name: of the table, or module:callable. metric: of the evaluations that `plateau` looks at. options: parameters
    that the schedule must have. offered: others, of which it takes those that it heeds.
    Raises ConfigError where it has no such option, or is one's own and fails, or makes something else.
    """
    own = name not in SCHEDULES
    entry = find_own_function(name, "schedule.name") if own else SCHEDULES[name]
    parameters = {**heeded(entry, offered), **heeded(entry, options)}
    for option in options:
        if option not in parameters:
            raise ConfigError(f"schedule.options.{option}: schedule {name} has no such parameter; leave it out")
    rates = Rates(lr, steps, warmup_steps, warmup_factor, metric)
    schedule = call_own(entry, f"schedule.name {name}: it", rates, **parameters) if own else entry(rates, **parameters)
    lacking = [method for method in _METHODS if not callable(getattr(schedule, method, None))]
    if lacking:
        kind = type(schedule).__name__
        raise ConfigError(f"schedule.name {name}: it made a {kind}, which lacks {', '.join(lacking)} of a Schedule")
    if own:
        schedule = OwnSchedule(schedule, name)
    if warmup_error is not None:
        from detres.training.reactive_schedules import WarmupUntil

        schedule = WarmupUntil(schedule, warmup_error, factor=warmup_factor, window=warmup_window)
    return schedule
