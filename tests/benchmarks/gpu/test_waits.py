"""Waits are told of the line of ours that waited, however deep torch was when it warned."""

from __future__ import annotations

import threading
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

import detres
from detres.benchmarks.gpu import waits
from detres.benchmarks.gpu.waits import lines_warned_of, waits_by_line

WAITED = "called a synchronizing CUDA operation (Triggered internally at CUDAFunctions.cpp:150.)"


def wait() -> None:
    warnings.warn(WAITED, stacklevel=1)


def test_each_wait_counts_for_its_line() -> None:
    def call() -> None:
        for _ in range(3):
            wait()

    ((line, count),) = lines_warned_of(call).items()
    assert count == 3
    assert line.startswith("benchmarks/gpu/test_waits.py:")


def test_a_line_of_detres_is_told_and_not_whoever_it_called() -> None:
    for file, told in (("boxes.py", "detres/boxes.py:2"), ("benchmarks/train.py", "gpu/test_waits.py:")):
        space: dict[str, Any] = {}
        exec(compile("def ask(wait):\n    wait()", str(Path(detres.__file__).parent / file), "exec"), space)
        ((line, _),) = lines_warned_of(partial(space["ask"], wait)).items()
        assert told in line


def test_other_warnings_and_other_threads_are_none() -> None:
    def call() -> None:
        warnings.warn("something else", stacklevel=1)
        loader = threading.Thread(target=wait)
        loader.start()
        loader.join()

    assert not lines_warned_of(call)


def test_how_warnings_are_shown_is_as_before() -> None:
    before = warnings.showwarning
    with pytest.raises(RuntimeError, match="of the call"):
        lines_warned_of(fail)
    assert warnings.showwarning is before


def fail() -> None:
    raise RuntimeError("of the call")


def test_the_mode_is_set_for_the_call_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []

    def set_mode(mode: str) -> None:
        modes.append(mode)
        warnings.warn("a prototype that does not yet detect all synchronizing operations", stacklevel=1)

    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", set_mode)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        found = waits_by_line(lambda: (modes.append("call"), wait()), torch.device("cuda"))
    assert modes == ["warn", "call", "default"]
    assert found is not None
    assert sum(found.values()) == 1
    assert not seen
    with pytest.raises(RuntimeError, match="of the call"):
        waits_by_line(fail, torch.device("cuda"))
    assert modes[-1] == "default"


def test_nobody_waits_for_a_cpu() -> None:
    assert waits.waits_by_line(fail, torch.device("cpu")) is None
