"""Peak memory of one contender, with nothing of the others in it."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor

import torch
from torch import Tensor

from detres.benchmarks.timing import Call
from detres.peak_memory import forget_high_water_mark, high_water_mark

_MIB = 2**20


def peak_of_process(make: Callable[[], Call], threads: int) -> float:
    """MiB: the most that a fresh process holds while it calls twice what `make` made.

    make: picklable, such as a partial of a module's function; what it held besides, to make it, is not counted where
    the system can forget that (Linux). All that a user's process would hold is: Python, torch, the weights, and the
    compiler where the call compiles.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(_run, make, threads).result()


def _run(make: Callable[[], Call], threads: int) -> float:
    torch.set_num_threads(threads)
    call = make()
    forget_high_water_mark()
    for _ in range(2):
        call()
    held = high_water_mark()
    if held is None:
        raise RuntimeError(f"{sys.platform} does not tell how much memory a process held")
    return held


def peak_of_device(call: Call, own: Iterable[Tensor], device: torch.device) -> float:
    """MiB that a call holds at most on a CUDA device: what it adds, and its `own` tensors, which lie there already."""
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    call()
    torch.cuda.synchronize(device)
    added = torch.cuda.max_memory_allocated(device) - before
    return (added + sum(tensor.nbytes for tensor in own)) / _MIB
