"""Writing to a disk that may be full for a moment: others make room, and a network's disk comes back."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError

from detres.errors import UserError

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
    tell: Callable[[str], None] = lambda line: None,
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
            refusal = error.__cause__ if isinstance(error, UserError) else error
            if not isinstance(refusal, _REFUSALS):
                raise
            why = refusal.strerror or str(refusal) if isinstance(refusal, OSError) else str(refusal).partition("\n")[0]
            if wait is None or (isinstance(refusal, OSError) and refusal.errno in _FOR_GOOD):
                raise UserError(
                    f"{place}: {what} cannot be written: {why}; mend this (make room, or the permission) and go on "
                    "with --resume"
                ) from refusal
        tell(f"{place}: {what} cannot be written: {why}; tries again in {wait:.0f} s")
        time.sleep(wait)
    return None
