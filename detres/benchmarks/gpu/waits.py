"""How often the host waits for its device in a call, and on which lines of ours.

torch warns of what it knows to wait: reading a value, sizes that depend on values, copies from memory that is not
pinned. What libraries wait for by themselves it does not see.
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from detres.benchmarks.gpu.clock import Call

# In torch's words. A first warning, of the mode itself, says other ones.
_WAITED = "called a synchronizing CUDA operation"
_PACKAGE = Path(__file__).parents[2]
_OURS, _BENCHMARKS = (os.path.join(folder, "") for folder in (_PACKAGE, _PACKAGE / "benchmarks"))


def waits_by_line(call: Call, device: torch.device) -> Counter[str] | None:
    """Waits of one call of what was called before, by file:line; None on a CPU, for which nobody waits.

    What is waited for within a backward pass is told of the line that began it.
    """
    if device.type != "cuda":
        return None
    with _warning_of_waits():
        return lines_warned_of(call)


@contextmanager
def _warning_of_waits() -> Iterator[None]:
    _set_mode("warn")
    try:
        yield
    finally:
        _set_mode("default")


def _set_mode(mode: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It says of itself that it is a prototype.
        torch.cuda.set_sync_debug_mode(mode)


def lines_warned_of(call: Call) -> Counter[str]:
    """How often torch warned of a wait on each line, in this thread: others, that load, wait on their own account."""
    lines: Counter[str] = Counter()
    thread = threading.get_ident()

    def note(message: Warning | str, *_: Any, **__: Any) -> None:
        if _WAITED in str(message) and threading.get_ident() == thread:
            lines[_line(sys._getframe(1))] += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = note
        call()
    return lines


def _line(frame: FrameType | None) -> str:
    """The innermost line of detres, save of what measures; else of what was called: torch's own lines say little."""
    outside = None
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_OURS) and not file.startswith(_BENCHMARKS):
            return f"{Path('detres', Path(file).relative_to(_PACKAGE)).as_posix()}:{frame.f_lineno}"
        library = Path(file).parts
        if outside is None and "torch" not in library and not file.startswith("<") and Path(file).name != "warnings.py":
            outside = f"{'/'.join(library[-3:])}:{frame.f_lineno}"
        frame = frame.f_back
    return outside or "elsewhere"
