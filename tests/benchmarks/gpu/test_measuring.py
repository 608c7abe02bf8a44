"""Figures are of a step, and those that only a GPU has are there on a GPU alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from detres.benchmarks.gpu import measuring
from detres.benchmarks.gpu.activity import Activity
from detres.benchmarks.gpu.clock import Effort, Times
from detres.benchmarks.gpu.measuring import Bench, Work, fresh_compiler, measure_call
from detres.benchmarks.machine import Machine

RATES = {"float32": 50e9, "bf16": 100e9}
TIMES = Times(typical=0.5, slowest=0.75, host=0.25, first=9.0, calls=7)


def bench(device: str, *, eager: bool = False) -> Bench:
    return Bench(Machine(torch.device(device), threads=1, compile=False, rates=RATES), Effort(), eager)


def nothing() -> None:
    pass


def test_times_are_of_a_step_and_rates_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "time_calls", lambda call, device, effort: TIMES)
    found = measure_call(nothing, bench("cpu"), Work(images=40, steps=5, operations=10e9, precision="bf16"))
    assert found == {
        "ms": 100.0,
        "slowest_ms": 150.0,
        "host_ms": 50.0,
        "calls": 7,
        "first_call_s": 9.0,
        "images_per_s": 80.0,
        "limit_share": 0.2,  # A tenth of a second of arithmetic in half a second.
    }


def test_a_share_of_the_limit_needs_operations_that_were_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "time_calls", lambda call, device, effort: TIMES)
    assert "limit_share" not in measure_call(nothing, bench("cpu"), Work())


def test_a_gpu_tells_of_waits_activity_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Counter({"detres/boxes.py:3": 4, "detres/draws.py:5": 6})
    forgotten = []
    monkeypatch.setattr(measuring, "time_calls", lambda call, device, effort: TIMES)
    monkeypatch.setattr(measuring, "waits_by_line", lambda call, device: lines)
    monkeypatch.setattr(measuring, "device_activity", lambda call, device: Activity(busy=0.4, kernels=1000))
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", forgotten.append)
    monkeypatch.setattr(torch.cuda, "empty_cache", nothing)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**20)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 8 * 2**20)
    found = measure_call(nothing, bench("cuda:0"), Work(images=40, steps=5))
    assert forgotten == [torch.device("cuda:0")]
    assert (found["waits"], found["kernels"], found["busy_ms"]) == (2.0, 200.0, 80.0)
    assert found["idle_share"] == pytest.approx(0.2)
    assert found["waits_by_line"] == [("detres/draws.py:5", 6), ("detres/boxes.py:3", 4)]
    assert (found["allocated_MiB"], found["reserved_MiB"]) == (3.0, 8.0)


def test_a_profiler_that_fails_costs_no_other_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object) -> None:
        raise RuntimeError("CUPTI_ERROR_INSUFFICIENT_PRIVILEGES")

    monkeypatch.setattr(measuring, "time_calls", lambda call, device, effort: TIMES)
    monkeypatch.setattr(measuring, "device_activity", forbidden)
    found = measure_call(nothing, bench("cpu"), Work())
    assert found["ms"] == 500.0
    assert "CUPTI_ERROR" in str(found["profiler"])
    assert "idle_share" not in found


def test_what_is_not_to_be_profiled_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "time_calls", lambda call, device, effort: TIMES)
    monkeypatch.setattr(measuring, "device_activity", lambda call, device: pytest.fail("profiled"))
    measure_call(nothing, bench("cpu"), Work(profiled=False))


@pytest.mark.slow
def test_an_eager_bench_compiles_nothing() -> None:
    compiled = torch.compile(lambda x: x + 1, backend=lambda graph, inputs: pytest.fail("compiled"))
    with fresh_compiler(bench("cpu", eager=True)):
        assert compiled(torch.ones(())) == 2
