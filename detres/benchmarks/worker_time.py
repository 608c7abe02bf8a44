"""Processor time of loading, each side in a worker process of its own, set up as its loader sets up a worker."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import torch

from detres.benchmarks.timing import Plan

Batches = Callable[[], Iterator[object]]


class Worker(ProcessPoolExecutor):
    """One process that was set up by `settle`."""

    def __init__(self, settle: Callable[[], None]) -> None:
        super().__init__(1, mp_context=multiprocessing.get_context("spawn"), initializer=settle)


def one_thread() -> None:
    """What torch's DataLoader does in each of its workers, and no more."""
    torch.set_num_threads(1)


def alternate_workers(sides: Sequence[tuple[Worker, Batches]], plan: Plan) -> list[list[float]]:
    """Processor seconds of going through each side's batches, in turn; round by round, by side.

    Batches are picklable.
    """
    seconds: list[list[float]] = [[] for _ in sides]
    for done in range(plan.rounds + 1):
        for times, (worker, batches) in zip(seconds, sides, strict=True):
            measured = worker.submit(_processor_time, batches).result()
            if done:  # The first time, modules are imported and files come from the disk.
                times.append(measured)
    return seconds


def _processor_time(batches: Batches) -> float:
    """The batches are let go at once, as a step would.

    What a set costs once and not once an image, its index above all, is outside.
    """
    reader = batches()
    begun = time.process_time()
    for _ in reader:
        pass
    return time.process_time() - begun
