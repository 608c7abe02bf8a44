"""Writing to a disk that may be full for a moment: others make room, and a network's disk comes back."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from detres.errors import UserError
from detres.files.whole import refusal_of

# Seconds before the second try and those after it: a minute in all.
WAITS = (2.0, 8.0, 20.0, 30.0)
# What waiting does not mend.
_FOR_GOOD = {errno.ENOENT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG}
# What the writers of files raise: safetensors' and torch's have errors of their own.
_REFUSALS = (OSError, SafetensorError, RuntimeError)


def patiently(
    write: Callable[[], None],
    place: Path,
    what: str,
    *,
    undo: Callable[[], None] = lambda: None,
    tell: Callable[[str], object] = lambda line: None,
) -> None:
    """Call `write`, and again after a while where the disk refuses, five times in a minute.

    what: is written to `place`, for the message. undo: takes away what a refused write left. tell: told of each wait.
    Raises UserError where the disk refuses to the last.
    """
    for wait in (*WAITS, None):
        try:
            return write()
        except (*_REFUSALS, UserError) as error:
            undo()
            # Writers of ours (whole.py) have told it in their words already.
            raised = error.__cause__ if isinstance(error, UserError) else error
            if not isinstance(raised, _REFUSALS):
                raise
            refusal = refusal_of(raised)
            why = (refusal and refusal.strerror) or str(raised).partition("\n")[0]
            if wait is None or (refusal is not None and refusal.errno in _FOR_GOOD):
                raise UserError(
                    f"{place}: {what} cannot be written: {why}; mend this (make room, or the permission) and go on "
                    "with --resume"
                ) from raised
        tell(f"{place}: {what} cannot be written: {why}; tries again in {wait:.0f} s")
        time.sleep(wait)
    return None
