"""The most memory that this process has taken so far."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys
from pathlib import Path

import torch

_MIB = 2**20


def high_water_mark() -> float | None:
    """MiB that this process held at most; None on a system that does not tell.

    From /proc where there is one: getrusage would report what the parent held when it started this process.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
        marks = [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")]
        if marks:  # some containers leave it out
            return marks[0]
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


def forget_high_water_mark() -> None:
    """Give freed memory back, and let the mark start again from what is held now; without effect beside Linux."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:  # the C library is glibc
        trim(0)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def on_gpu() -> bool:
    """Whether this process uses a GPU, whose memory counts then."""
    return torch.cuda.is_available() and torch.cuda.is_initialized()


def peak_memory() -> float | None:
    """GiB that this process held at most, of the GPU where it uses one; None where nobody knows."""
    if on_gpu():
        return torch.cuda.max_memory_reserved() / 2**30
    held = high_water_mark()
    return None if held is None else held / 1024
