"""The device of these tests, a real one or the pretended one, and how often the host may wait for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
import torch

from detres.benchmarks.machine import exact_float32

WaitsAtMost = Callable[[int], AbstractContextManager[None]]


@pytest.fixture
def pretence(request: pytest.FixtureRequest) -> Any:
    """tests/pretended_gpu/plugin.py, where it is loaded; None on a real device."""
    return request.config.pluginmanager.get_plugin("tests.pretended_gpu.plugin")


@pytest.fixture
def device(pretence: Any) -> Iterator[torch.device]:
    """A CUDA device that rounds as CPUs do: TF32 would have three digits, and what is compared here has more."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    with pretence.pretended() if pretence else exact_float32():
        yield torch.device("cuda", 0)


@pytest.fixture
def real_device(device: torch.device, pretence: Any) -> torch.device:
    """A device that runs what was compiled for it. Who asks for it says why the pretended one is not enough."""
    if pretence:
        pytest.skip("runs kernels or collectives of the device's own, and a pretended device has none")
    return device


@pytest.fixture
def waits_at_most(pretence: Any) -> WaitsAtMost:
    """Within it the host waits for the device at most so often."""
    return pretence.waits_at_most if pretence else _waits_at_most


@contextmanager
def _waits_at_most(most: int) -> Iterator[None]:
    """As torch tells it, which knows of copies and of values asked for, but not of torchvision's operators."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode("default")
    places = [f"{w.filename}:{w.lineno}" for w in told if "called a synchronizing" in str(w.message)]
    assert len(places) <= most, places
