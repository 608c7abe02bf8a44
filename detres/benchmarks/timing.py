"""Calls timed in turn, so that whatever else the machine does falls on all of them alike.

A *round* calls every contender once: A B C A B C.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

Call = Callable[[], Any]
# The median of two is a mean; from three on, one slow round cannot move it.
_FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Plan:
    """How long to measure. rounds: at most so many. seconds: after these no further round begins, but three are run.

    memory: whether peak memory is measured, too, each contender in a process of its own on a CPU. warm_up: whether
    everything is called once before, untimed: that is when code is compiled and memory is first touched.
    """

    rounds: int = 7
    seconds: float = math.inf
    memory: bool = True
    warm_up: bool = True


def alternate(calls: Mapping[str, Call], device: torch.device, plan: Plan) -> dict[str, list[float]]:
    """Seconds of each call in each round, by the calls' names."""
    if plan.warm_up:
        for call in calls.values():
            seconds_of(call, device)
    times: dict[str, list[float]] = {name: [] for name in calls}
    begun = time.perf_counter()
    for done in range(plan.rounds):
        if done >= _FEWEST_ROUNDS and time.perf_counter() - begun > plan.seconds:
            break
        for name, call in calls.items():
            times[name].append(seconds_of(call, device))
    return times


def seconds_of(call: Call, device: torch.device) -> float:
    """Wall time of one call, the device's queue empty before it and after it."""
    synchronize(device)
    begun = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - begun


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
