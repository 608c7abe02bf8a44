"""What the device does in a call, as torch's profiler sees it: kernels, and the time in which at least one runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from detres.benchmarks.gpu.clock import Call
from detres.benchmarks.timing import synchronize

_CALLS = 2


@dataclass(frozen=True)
class Activity:
    """Of one call. busy: seconds in which the device has something to do. kernels: how many run, copies among them."""

    busy: float
    kernels: float

    def idle_share(self, seconds: float) -> float:
        """The share of a call of so many seconds in which the device has nothing to do.

        seconds: as they were timed without the profiler, which slows the host, and so makes gaps of its own.
        """
        return max(0.0, 1 - self.busy / seconds)


def device_activity(call: Call, device: torch.device) -> Activity | None:
    """Of what was called before; None on a CPU, and where the profiler saw nothing: a container may forbid it to."""
    if device.type != "cuda":
        return None
    _profiled(call, device, 1)  # The profiler sets itself up in its first session, and may miss kernels meanwhile.
    spans = kernel_spans(_profiled(call, device, _CALLS))
    return Activity(busy_microseconds(spans) / 1e6 / _CALLS, len(spans) / _CALLS) if spans else None


def _profiled(call: Call, device: torch.device, calls: int) -> Iterable[Any]:
    synchronize(device)
    # Of the host nothing is recorded, so that it is slowed little.
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(calls):
            call()
        synchronize(device)
    return profiler.events()


def kernel_spans(events: Iterable[Any]) -> list[tuple[float, float]]:
    """Microseconds from and to which each kernel and copy ran.

    Regions that the code names, such as an optimizer's step, stand among them, spanning what runs within and the gaps
    between: these are left out.
    """
    return [
        (event.time_range.start, event.time_range.end)
        for event in events
        if event.device_type == DeviceType.CUDA and not getattr(event, "is_user_annotation", False)
    ]


def busy_microseconds(spans: Iterable[tuple[float, float]]) -> float:
    """The time in which at least one span lies: those of several streams overlap."""
    busy, until = 0.0, float("-inf")
    for start, end in sorted(spans):
        busy += max(0.0, end - max(start, until))
        until = max(until, end)
    return busy
