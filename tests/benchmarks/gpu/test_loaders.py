"""A loader's rate is of what arrives after its head start; workers without a core are not tried."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from detres.benchmarks.gpu.clock import Effort
from detres.benchmarks.gpu.loaders import (
    classification_batches,
    detection_batches,
    images_a_second,
    loader_entries,
)
from detres.benchmarks.gpu.measuring import Bench
from detres.benchmarks.gpu.sizes import TINY
from detres.benchmarks.machine import Machine

CPU = torch.device("cpu")
LOADING = TINY.loading


class Batch:
    def __init__(self, place: int, log: list[int]) -> None:
        self.place, self.log = place, log

    def __len__(self) -> int:
        return 5

    def to(self, device: torch.device, *, non_blocking: bool) -> Batch:
        assert non_blocking
        self.log.append(self.place)
        return self


def batches(log: list[int]) -> Iterator[Batch]:
    place = 0
    while True:
        yield Batch(place, log)
        place += 1


def test_what_was_ready_before_is_not_counted() -> None:
    log: list[int] = []
    found = images_a_second(batches(log), CPU, seconds=0.0, ahead=6)
    assert log == list(range(8))  # one that begins, six ahead, one that is timed
    assert found["calls"] == 1
    assert found["images_per_s"] == pytest.approx(5 / (found["ms"] / 1e3))


@pytest.mark.slow
@pytest.mark.parametrize(("opened", "images"), [(detection_batches, 2), (classification_batches, 2)])
def test_loaders_are_those_of_training(opened, images: int, tmp_path: Path) -> None:
    batch = next(iter(opened(tmp_path, LOADING, 0, False)))
    assert (len(batch), batch.images.dtype) == (images, torch.uint8)
    assert batch.images.shape[1] == (64 if opened is detection_batches else 32)


def test_more_workers_than_cores_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    bench = Bench(Machine(CPU, threads=1, compile=False, rates={}), Effort())
    names = [row.name for row in loader_entries(bench, replace(LOADING, workers=(0, 2, 8)))]
    assert names == [f"load/{kind}/workers{count}" for kind in ("detection", "classification") for count in (0, 2)]
