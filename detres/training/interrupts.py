"""A run asked to stop finishes its step, checkpoints and says so; asked twice from the keyboard, it ends at once.

An evaluation, which may take an hour and changes nothing, is not finished: the run makes up for it when it goes on.
Every rank asks `agreed()` once a step. It is a maximum over ranks of one integer on the host (gloo, well under a
millisecond), so all ranks stop after the same step without waiting for a device.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from detres.distributed import max_over_ranks, world_size
from detres.stop_signals import stop_signals


class Interrupted(Exception):
    """The run was asked to stop and did, with a checkpoint; commands exit with status 130."""

    exit_status = 130

    def __init__(self, signal_name: str, step: int, checkpoint: Path) -> None:
        super().__init__(f"interrupted by {signal_name} after step {step}; {checkpoint} holds it, --resume goes on")
        self.step = step
        self.checkpoint = checkpoint


class AskedToStop(BaseException):
    """Raised by a signal where nothing has to be finished; a BaseException, so that no handler of errors takes it."""


class Interrupts:
    """A context in which what asks to stop (stop_signals) only leaves a note; the handlers before are put back.

    Handlers belong to the main thread: in another, signals do what they did before.
    """

    def __init__(self) -> None:
        self.signal_name: str | None = None
        self._noted_at = 0.0
        self._before: dict[int, Any] = {}
        self._at_once = False

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in stop_signals()}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def agreed(self) -> bool:
        """Whether any rank was asked to stop; a collective call, once a step on every rank."""
        return bool(max_over_ranks(torch.tensor(int(self.signal_name is not None))))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In it, a signal raises AskedToStop. Of several ranks none does so, since the others would wait for it."""
        self._at_once = world_size() == 1
        try:
            self._raise_if_asked()
            yield
        finally:
            self._at_once = False

    def _raise_if_asked(self) -> None:
        if self._at_once and self.signal_name is not None:
            self._at_once = False  # Once: what cleans up on the way out is not to be broken off.
            raise AskedToStop

    def _note(self, number: int, _: FrameType | None) -> None:
        now = time.monotonic()
        # torchrun passes a Ctrl-C on to its children, whom the terminal may have told already: that is still the first.
        if number == signal.SIGINT and self.signal_name == "SIGINT" and now - self._noted_at > 1.0:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if self.signal_name is None:
            self.signal_name, self._noted_at = signal.Signals(number).name, now
        self._raise_if_asked()
