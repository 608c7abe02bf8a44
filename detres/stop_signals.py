"""The signals that ask a command or a run to stop."""

from __future__ import annotations

import signal

_NAMES = ("SIGINT", "SIGTERM", "SIGUSR1")


def stop_signals() -> tuple[int, ...]:
    """Ctrl-C, SIGTERM, SIGUSR1 and, where nobody asked to outlive the terminal (nohup), SIGHUP."""
    names = [name for name in _NAMES if hasattr(signal, name)]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        names.append("SIGHUP")
    return tuple(getattr(signal, name) for name in names)
