"""Many small files: read one after another, or by threads where the disk makes one wait."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# Files read alone, to see whether that waits; then so many by threads, in blocks: handing a thread one file costs as
# much as reading it.
_PROBE, _BLOCK, _THREADS, _ROUND = 64, 512, 8, 4096
# Seconds waited for one of work above which threads are of use.
_WAITS = 0.5

T = TypeVar("T")
R = TypeVar("R")


def read_all(read: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """What `read` returns for each item, in their order; what it raises, the first of them raises.

    Python runs one thread at a time: what the system has in memory is read by eight threads in twice the time of one,
    and what a disk answers late in an eighth. A few items read alone tell which it is, again and again.
    """
    results: list[R] = []

    def read_block(start: int, end: int) -> list[R]:
        return [read(item) for item in items[start:end]]

    with ThreadPoolExecutor(_THREADS) as pool:
        while len(results) < len(items):
            began, worked = time.perf_counter(), time.thread_time()
            results += read_block(len(results), len(results) + _PROBE)
            work = time.thread_time() - worked
            if time.perf_counter() - began - work > _WAITS * work:
                starts = range(len(results), min(len(results) + _ROUND, len(items)), _BLOCK)
                blocks = pool.map(lambda start: read_block(start, start + _BLOCK), starts)
                for block in blocks:
                    results += block
    return results
