"""How long calls take where the device works behind the host: events stand between them, and nobody waits meanwhile."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch

from detres.benchmarks.timing import seconds_of, synchronize

Call = Callable[[], Any]


@dataclass(frozen=True)
class Effort:
    """How long a call is looked at. warm_up: calls before, of which the first is told apart.

    seconds: of the timed ones, as many as fit in, but no fewer than `fewest` and no more than `most`.
    """

    warm_up: int = 3
    fewest: int = 5
    most: int = 100
    seconds: float = 2.0


@dataclass(frozen=True)
class Times:
    """Seconds. typical: the median call, on the device. slowest: of all. host: until a call was queued, in the mean.

    first: of the first call of all, in which memory is touched and code compiled. calls: how many were timed.
    """

    typical: float
    slowest: float
    host: float
    first: float
    calls: int


def time_calls(call: Call, device: torch.device, effort: Effort) -> Times:
    """Call again and again; on a CPU, where a call is over when it returns, host and device are the same."""
    first = last = seconds_of(call, device)
    for _ in range(effort.warm_up - 1):
        last = seconds_of(call, device)
    calls = min(effort.most, max(effort.fewest, int(effort.seconds / max(last, 1e-6))))
    spans, host = (_by_events if device.type == "cuda" else _by_clock)(call, device, calls)
    return Times(median(spans), max(spans), host / calls, first, calls)


def _by_events(call: Call, device: torch.device, calls: int) -> tuple[list[float], float]:
    """Seconds between the events around each call, and those that the host took to queue all of them."""
    stream = torch.cuda.current_stream(device)
    events = [torch.cuda.Event(enable_timing=True) for _ in range(calls + 1)]
    synchronize(device)
    begun = time.perf_counter()
    events[0].record(stream)
    for event in events[1:]:
        call()
        event.record(stream)
    host = time.perf_counter() - begun
    events[-1].synchronize()
    return [before.elapsed_time(after) / 1e3 for before, after in itertools.pairwise(events)], host


def _by_clock(call: Call, device: torch.device, calls: int) -> tuple[list[float], float]:
    spans = [seconds_of(call, device) for _ in range(calls)]
    return spans, sum(spans)
