"""Worker processes that make the batches of a loader, in the loader's order, whatever happens to one of them.

Each worker has a socket of its own and is asked in turns, so that nothing is shared whose owner could die with it. A
worker that dies is begun again and asked anew for what it still owed: what is drawn for an image is a function of its
place, so the batches are the same. Signals to the whole group (Ctrl-C, `timeout`, systemd, Slurm) are the main
process's affair; workers ignore them and leave when it does, however it ends.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import pickle
import random
import signal
import socket
import sys
import traceback
import weakref
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, NamedTuple

import numpy as np
import torch

from detres.data.loading.batch_memory import PeerGone, forget_unsent, receive, send
from detres.errors import UserError, tell
from detres.system_errors import as_user_error

# Batches that a worker is asked for ahead of time.
AHEAD = 2
# How often one batch may cost a worker its life.
_LIVES = 3
_IGNORED = ("SIGINT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGHUP")
_PR_SET_PDEATHSIG = 1


class Lane(NamedTuple):
    """Which of how many workers this process is."""

    number: int
    workers: int


_lane: Lane | None = None
_main_ends: weakref.WeakSet[socket.socket] = weakref.WeakSet()


def worker_lane() -> Lane | None:
    """This worker process's place among its loader's workers; None in any other process."""
    return _lane


class Maker(ABC):
    """What a worker does with each task: subclasses are sent to the workers."""

    @abstractmethod
    def begin(self, done: int) -> Callable[[Any], Any]:
        """A function from a task to its batch, for a worker of which `done` tasks are done already.

        It raises StopIteration where there are no more.
        """


class WorkerPool(Iterator[Any]):
    """The results of `maker` for each task, in the order of the tasks.

    Raises what a worker raised, UserError where workers cannot be started or die again and again.
    """

    def __init__(self, maker: Maker, tasks: Iterable[Any], workers: int) -> None:
        self._maker, self._tasks, self._turn = maker, iter(tasks), 0
        self._workers: list[_Worker] = []
        # Before multiprocessing ends its children at exit: politely, which these do not hear.
        self._end = Finalize(self, _end_all, (self._workers,), exitpriority=10)
        try:
            for number in range(workers):
                self._workers.append(_Worker(maker, Lane(number, workers)))
            for _ in range(AHEAD):
                for worker in self._workers:
                    self._ask_next(worker)
        except BaseException:
            self.close()
            raise

    def __next__(self) -> Any:
        if not self._workers:
            raise StopIteration
        worker = self._workers[self._turn % len(self._workers)]
        try:
            if not worker.owed:
                raise StopIteration
            result = worker.next_result()
            self._turn += 1
            self._ask_next(worker)
            if isinstance(result, _Raised):
                result.again()
            return result
        except BaseException:  # A signal may have broken off in the midst of a message.
            self.close()
            raise

    def close(self) -> None:
        self._end()

    def abandon(self) -> None:
        """Let a thread that waits for a batch, and whose affair closing is, wait no longer."""
        for worker in list(self._workers):
            worker.abandon()

    def _ask_next(self, worker: _Worker) -> None:
        for task in self._tasks:
            worker.ask(task)
            return


def _end_all(workers: list[_Worker]) -> None:
    while workers:
        workers.pop().end()


class _Worker:
    """The main process's side of one worker. owed: tasks it was asked for and has not answered."""

    def __init__(self, maker: Maker, lane: Lane) -> None:
        self._maker, self._lane, self._done, self._deaths = maker, lane, 0, 0
        self._process: BaseProcess | None = None
        self._abandoned = False
        self.owed: deque[Any] = deque()
        self._start()

    def ask(self, task: Any) -> None:
        self.owed.append(task)
        with suppress(PeerGone):  # Seen, and mended, where its answer is awaited.
            send(self._socket, task)

    def next_result(self) -> Any:
        while True:
            try:
                result = receive(self._socket)
                break
            except PeerGone:
                if self._abandoned:
                    raise
                self._replace()
            except OSError as error:
                raise as_user_error(error, "data.workers") from None
        self.owed.popleft()
        self._done, self._deaths = self._done + 1, 0
        return result

    def abandon(self) -> None:
        """From another thread: what waits for this worker gets PeerGone."""
        self._abandoned = True
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """At once: it has nothing to lose."""
        process, self._process = self._process, None
        self._socket.close()
        if process is not None:
            process.kill()
            process.join()
            process.close()

    def _start(self) -> None:
        context = multiprocessing.get_context()
        try:
            self._socket, theirs = socket.socketpair()
            with theirs, _signals_wait():
                _main_ends.add(self._socket)
                arguments = (theirs, self._maker, self._lane, self._done)
                process = context.Process(target=_serve, args=arguments, daemon=True)
                process.start()
                self._process = process
        except OSError as error:
            raise as_user_error(error, f"data.workers={self._lane.workers}") from None

    def _replace(self) -> None:
        process = self._process
        assert process is not None, "what is replaced was there"
        process.join(timeout=5)
        status = process.exitcode  # None of one that closed its socket and lives on
        self._deaths += 1
        how = f"was killed by {signal.Signals(-status).name}" if status and status < 0 else f"ended with {status}"
        self.end()
        if self._deaths >= _LIVES:
            raise UserError(
                f"data.workers: a process that loads images {how}, and so did those begun in its place at the same "
                "batch; where memory ran out, set fewer data.workers, else see which image it is with data.workers=0"
            )
        tell(f"a process that loads images {how} (out of memory?); another reads its batches again")
        self._start()
        with suppress(PeerGone):
            for task in self.owed:
                send(self._socket, task)


@contextmanager
def _signals_wait() -> Iterator[None]:
    """In it, signals wait, so that none finds a new process before that ignores them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ignored())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ignored() -> list[signal.Signals]:
    return [signal.Signals[name] for name in _IGNORED if hasattr(signal, name)]


class _Raised:
    """What a worker raised, to be raised again by the main process; of a bug, with the worker's traceback."""

    def __init__(self, error: Exception) -> None:
        trace = traceback.format_exc()
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            error = RuntimeError(str(error))
        if not isinstance(error, UserError):
            error.add_note(f"in a process that loads images:\n{trace}")
        self.error = error

    def again(self) -> None:
        raise self.error


def _serve(end: socket.socket, maker: Maker, lane: Lane, done: int) -> None:
    """What a worker process does: a batch for each task, until the main process is gone."""
    global _lane
    _lane = lane
    _leave_signals_to_main()
    _seed(lane)
    make: Callable[[Any], Any] | None = None
    try:
        while True:
            task = receive(end)
            try:
                make = make or maker.begin(done)
                result = make(task)
            except Exception as error:
                result = _Raised(error)
            send(end, result)
            del result
            forget_unsent()
    except PeerGone:
        return


def _leave_signals_to_main() -> None:
    for number in _ignored():
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ignored())
    if sys.platform == "linux":  # At once, even from the midst of an image; elsewhere, with the next message.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _seed(lane: Lane) -> None:
    """Of generators that no transform of ours draws from, but one that a user wrote might."""
    seed = int(torch.empty((), dtype=torch.int64).random_(generator=torch.Generator().manual_seed(0))) + lane.number
    random.seed(seed)
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002, which is what others draw from


def _close_main_ends() -> None:
    """A forked child holds copies of its parent's sockets, which would keep workers from seeing the parent's end."""
    for end in list(_main_ends):
        end.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_main_ends)
