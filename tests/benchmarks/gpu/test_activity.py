"""The device is busy while at least one kernel runs, and regions that the code names are no kernels."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType

from detres.benchmarks.gpu.activity import Activity, busy_microseconds, device_activity, kernel_spans


def event(start: float, end: float, device: DeviceType = DeviceType.CUDA, **more: bool) -> SimpleNamespace:
    return SimpleNamespace(time_range=SimpleNamespace(start=start, end=end), device_type=device, **more)


def test_what_overlaps_counts_once() -> None:
    assert busy_microseconds([(0, 10), (5, 12), (20, 25), (21, 22)]) == 17


def test_nothing_is_no_time() -> None:
    assert busy_microseconds([]) == 0


def test_the_union_is_that_of_whole_microseconds() -> None:
    draws = random.Random(0)
    for _ in range(20):
        spans = [(start, start + draws.randint(0, 9)) for start in (draws.randint(0, 60) for _ in range(12))]
        covered = {at for start, end in spans for at in range(start, end)}
        assert busy_microseconds(spans) == len(covered)


def test_kernels_are_neither_of_the_host_nor_named_regions() -> None:
    events = [
        event(0, 4, is_user_annotation=False),
        event(6, 7),  # Of a torch that tells nothing of regions.
        event(0, 100, is_user_annotation=True),
        event(0, 100, DeviceType.CPU, is_user_annotation=False),
    ]
    assert kernel_spans(events) == [(0, 4), (6, 7)]


def test_idle_is_what_the_kernels_leave_of_a_call() -> None:
    assert Activity(busy=0.03, kernels=5).idle_share(0.04) == pytest.approx(0.25)
    assert Activity(busy=0.041, kernels=5).idle_share(0.04) == 0


def test_a_cpu_is_not_asked() -> None:
    assert device_activity(lambda: pytest.fail("called"), torch.device("cpu")) is None
