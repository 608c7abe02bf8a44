"""All that is measured of one call: its time, its waits, what the device does in it, and the memory it takes."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import torch

from detres.benchmarks.gpu.activity import device_activity
from detres.benchmarks.gpu.clock import Call, Effort, time_calls
from detres.benchmarks.gpu.waits import waits_by_line
from detres.benchmarks.machine import Machine, Precision
from detres.errors import raised_in

Figure = float | int | str | bool | None | list[tuple[str, int]]
Figures = dict[str, Figure]
_MIB = 2**20
_LINES = 25


@dataclass(frozen=True)
class Bench:
    """Where is measured, and how long. eager: what is asked to be compiled runs as it is, through the same calls."""

    machine: Machine
    effort: Effort
    eager: bool = False

    @property
    def device(self) -> torch.device:
        return self.machine.device


@contextmanager
def fresh_compiler(bench: Bench) -> Iterator[None]:
    """For one row: the compiler gives up on a method that has been compiled for several nets before."""
    torch.compiler.reset()
    with torch.compiler.set_stance("force_eager") if bench.eager else nullcontext():
        yield


@dataclass(frozen=True)
class Work:
    """What a call does. images: in a call. steps: of training in a call. operations: floating-point, of the whole call;
    0 where nobody counted. precision: of the rate that they are held against. profiled: whether it is looked at by the
    profiler, too.
    """

    images: int = 1
    steps: int = 1
    operations: float = 0.0
    precision: Precision = "bf16"
    profiled: bool = True


def measure_call(call: Call, bench: Bench, work: Work) -> Figures:
    """Figures by name; times are of a step, those that only a GPU has are left out on a CPU."""
    device = bench.device
    _forget_peaks(device)
    times = time_calls(call, device, bench.effort)
    figures: Figures = {
        "ms": 1e3 * times.typical / work.steps,
        "slowest_ms": 1e3 * times.slowest / work.steps,
        "host_ms": 1e3 * times.host / work.steps,
        "calls": times.calls,
        "first_call_s": times.first,
        "images_per_s": work.images / times.typical,
        **_peaks(device),
    }
    if work.operations:
        figures["limit_share"] = bench.machine.limit_share(work.operations, times.typical, work.precision)
    waits = waits_by_line(call, device)
    if waits is not None:
        figures |= {"waits": sum(waits.values()) / work.steps, "waits_by_line": waits.most_common(_LINES)}
    return figures | (_activity(call, device, work, times.typical) if work.profiled else {})


def _activity(call: Call, device: torch.device, work: Work, seconds: float) -> Figures:
    """Where the profiler fails, for a driver or a container forbids it, the row keeps its other figures."""
    try:
        found = device_activity(call, device)
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        return {"profiler": raised_in(error, __file__)}
    if found is None:
        return {}
    return {
        "busy_ms": 1e3 * found.busy / work.steps,
        "kernels": found.kernels / work.steps,
        "idle_share": found.idle_share(seconds),
    }


def _forget_peaks(device: torch.device) -> None:
    """What was made before, to count operations, is gone as well."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def _peaks(device: torch.device) -> Mapping[str, float]:
    """MiB that were handed out at most since the counters were set back, and MiB that torch took from the device."""
    if device.type != "cuda":
        return {}
    return {
        "allocated_MiB": torch.cuda.max_memory_allocated(device) / _MIB,
        "reserved_MiB": torch.cuda.max_memory_reserved(device) / _MIB,
    }
