"""Errors of the machine, not of the program: a full disk, no permission, too many open files."""

from __future__ import annotations

import errno
import os

from detres.errors import UserError

_MENDS = {
    "ENOSPC": "make room there, and repeat",
    "EDQUOT": "make room or ask for a larger quota, and repeat",
    "EFBIG": "raise the limit of a file's size (ulimit -f), and repeat",
    "EROFS": "name a place that can be written",
    "EACCES": "mend the permission, or name another place",
    "EPERM": "mend the permission, or name another place",
    "EMFILE": "raise the limit (ulimit -n), or set fewer data.workers",
    "ENFILE": "the machine has no more of them for anybody; close what holds them",
    "ENOMEM": "free memory, or set fewer data.workers",
    "EAGAIN": "raise the limit of processes (ulimit -u), or set fewer data.workers",
    "EIO": "the disk, or the way to it, fails; see the system's log",
    "EISDIR": "a folder has this name; move it away, or name another place",
    "ENOTDIR": "a file has the name of a folder; move it away, or name another place",
    "ELOOP": "links lead round in a circle; mend them",
    "ENAMETOOLONG": "shorten the name",
    "ESTALE": "the network's disk went away; mount it again",
}
MENDS = {getattr(errno, name): mend for name, mend in _MENDS.items() if hasattr(errno, name)}
# Of these, the file's name is the half of the message; without one they are no user's affair.
_OF_A_FILE = {errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


def system_message(error: BaseException) -> str | None:
    """What, where and how to mend it; None where the error is none of the machine's."""
    if not isinstance(error, OSError) or error.errno not in MENDS or error.errno == errno.EAGAIN:
        return None
    if error.errno in _OF_A_FILE and error.filename is None:
        return None
    return _message(error, os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None)


def as_user_error(error: OSError, what: str) -> UserError:
    """The same for an error whose `what` (a file, an option) its raiser knows."""
    return UserError(_message(error, what))


def _message(error: OSError, what: str | None) -> str:
    mend = MENDS.get(error.errno or 0, "")
    return ": ".join(filter(None, (what, error.strerror or str(error)))) + (f"; {mend}" if mend else "")
