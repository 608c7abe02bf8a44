"""A command that is asked to stop (Ctrl-C, SIGTERM, SIGUSR1, SIGHUP) says so in one line, wherever it was."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from detres.stop_signals import stop_signals

# The exit status of a command that was asked to stop.
INTERRUPTED = 130


class Stopped(KeyboardInterrupt):
    """Raised by the first signal. As a KeyboardInterrupt it passes all handlers of errors."""


class Stopping:
    """signal_name: the signal that came, if one did."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def hear(self, number: int, frame: FrameType | None) -> None:
        # Once: what is tidied up on the way out is not to be broken off. Slurm and torchrun send theirs twice.
        if self.signal_name is None:
            self.signal_name = signal.Signals(number).name
            if _imports(frame):
                # Libraries in other languages abort where an exception passes through what they do at their import.
                say_stopped(self.signal_name)
                sys.stdout.flush()
                os._exit(INTERRUPTED)
            raise Stopped(self.signal_name)
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)


def say_stopped(signal_name: str) -> None:
    print(f"interrupted by {signal_name}", file=sys.stderr, flush=True)


def _imports(frame: FrameType | None) -> bool:
    """Whether the command, of whose main() this is an inner frame, is importing something."""
    while frame is not None and frame.f_globals.get("__name__") != "detres.commands.main":
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


@contextmanager
def stopped_by_signals() -> Iterator[Stopping]:
    """In it, a signal raises Stopped. A training replaces this by its own way to stop, and puts it back."""
    stopping = Stopping()
    if threading.current_thread() is not threading.main_thread():
        yield stopping
        return
    before = {number: signal.signal(number, stopping.hear) for number in stop_signals()}
    try:
        yield stopping
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
