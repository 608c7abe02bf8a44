"""Calls are timed between events, and nobody waits for the device while they are queued."""

from __future__ import annotations

import time

import pytest
import torch

from detres.benchmarks.gpu import clock
from detres.benchmarks.gpu.clock import Effort, time_calls

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


class Device:
    """A pretended GPU: calls cost the host nothing, and the device so many milliseconds each, one after the other."""

    def __init__(self, milliseconds: list[float]) -> None:
        self.costs, self.busy, self.log = iter(milliseconds), 0.0, list[str]()

    def call(self) -> None:
        self.log.append("call")
        self.busy += next(self.costs)

    def synchronize(self, device: torch.device) -> None:
        self.log.append("synchronize")

    def event(self, enable_timing: bool) -> Event:
        assert enable_timing, "without it no time is to be had"
        return Event(self)


class Event:
    def __init__(self, device: Device) -> None:
        self.device, self.at = device, -1.0

    def record(self, stream: str) -> None:
        assert stream == "the current stream"
        self.device.log.append("record")
        self.at = self.device.busy

    def synchronize(self) -> None:
        self.device.log.append("wait for the last event")

    def elapsed_time(self, other: Event) -> float:
        assert self.device.log[-1] == "wait for the last event", "times are there when all is done"
        return other.at - self.at


def pretend(monkeypatch: pytest.MonkeyPatch, milliseconds: list[float]) -> Device:
    device = Device(milliseconds)
    monkeypatch.setattr(torch.cuda, "Event", device.event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the current stream")
    monkeypatch.setattr(torch.cuda, "synchronize", device.synchronize)
    monkeypatch.setattr(clock, "synchronize", device.synchronize)
    return device


def test_each_call_is_the_time_between_two_events(monkeypatch: pytest.MonkeyPatch) -> None:
    device = pretend(monkeypatch, [900.0, 10.0, 1.0, 2.0, 6.0])
    times = time_calls(device.call, GPU, Effort(warm_up=2, fewest=3, most=3))
    assert (times.typical, times.slowest, times.calls) == pytest.approx((0.002, 0.006, 3))


def test_nobody_waits_between_the_timed_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    device = pretend(monkeypatch, [1.0] * 4)
    time_calls(device.call, GPU, Effort(warm_up=1, fewest=3, most=3))
    timed = device.log[device.log.index("record") :]
    assert timed == ["record", *["call", "record"] * 3, "wait for the last event"]


def test_on_a_cpu_a_call_is_over_when_it_returns() -> None:
    times = time_calls(lambda: time.sleep(0.01), CPU, Effort(warm_up=1, fewest=3, most=3))
    assert 0.01 <= times.typical <= times.slowest < 5
    assert times.host == pytest.approx(times.typical, rel=1)
    assert times.first >= 0.01


@pytest.mark.parametrize(("seconds", "calls"), [(0.0, 2), (0.05, 5), (60.0, 7)])
def test_as_many_calls_as_fit_into_the_seconds(seconds: float, calls: int) -> None:
    effort = Effort(warm_up=1, fewest=2, most=7, seconds=seconds)
    found = time_calls(lambda: time.sleep(0.01), CPU, effort).calls
    assert 2 <= found <= calls if seconds == 0.05 else found == calls
