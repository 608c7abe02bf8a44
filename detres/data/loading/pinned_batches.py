"""Batches copied to memory that a device reads by itself, ahead of the loop and in a thread of their own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.util import Finalize
from typing import Any

from detres.data.loading.worker_pool import WorkerPool

# Batches that are pinned before anybody asks.
_AHEAD = 2


class PinnedBatches(Iterator[Any]):
    """The batches of a pool, or tuples of batches, after their pin_memory()."""

    def __init__(self, pool: WorkerPool) -> None:
        self._pinned: queue.Queue[Any] = queue.Queue(_AHEAD)
        ended = threading.Event()
        thread = threading.Thread(target=_pin, args=(pool, self._pinned, ended), daemon=True)
        # Before the interpreter goes, in which the thread would be left with the device's library.
        self._end = Finalize(self, _stop, (thread, pool, ended), exitpriority=20)
        thread.start()

    def __next__(self) -> Any:
        batch = self._pinned.get()
        if isinstance(batch, _Last):
            self._pinned.put(batch)
            raise batch.error or StopIteration
        return batch

    def close(self) -> None:
        self._end()


class _Last:
    """Behind the last batch: what ended it, if it was an error."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error


def _pin(pool: WorkerPool, pinned: queue.Queue[Any], ended: threading.Event) -> None:
    last = _Last()
    try:
        for batch in pool:
            _put(pinned, _pinned(batch), ended)
            if ended.is_set():
                return
    except Exception as error:
        last = _Last(error)
    finally:
        pool.close()
    _put(pinned, last, ended)


def _pinned(batch: Any) -> Any:
    return tuple(map(_pinned, batch)) if isinstance(batch, tuple) else batch.pin_memory()


def _put(pinned: queue.Queue[Any], batch: Any, ended: threading.Event) -> None:
    while not ended.is_set():
        with suppress(queue.Full):
            pinned.put(batch, timeout=0.2)
            return


def _stop(thread: threading.Thread, pool: WorkerPool, ended: threading.Event) -> None:
    ended.set()
    pool.abandon()
    thread.join(timeout=5)
