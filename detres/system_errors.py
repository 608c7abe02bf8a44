"""Errors of the machine, not of the program: a full disk, no permission, too many open files, too little memory."""

from __future__ import annotations

import errno
import os
import re

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
# What threads, torch, its library of kernels, the loader of libraries and OpenCV say where memory ends. That of a
# device is not meant: it is another's, with other mends.
_WORDS_OF_MEMORY = (
    "std::bad_alloc",
    "can't start new thread",
    "can't allocate memory",
    "annot allocate memory",
    "not enough memory",
    "could not create a primitive",
    "could not create a memory",
    "failed to map segment",
    "Insufficient memory",
    "(os error 12)",
)
# Whose errors are of a kind of their own.
_LIBRARIES = ("cv2", "safetensors")
_OF_A_DEVICE = re.compile(r"\b(CUDA|CUDNN|HIP|MPS)\b")


def system_message(error: BaseException) -> str | None:
    """What, where and how to mend it; None where the error is none of the machine's."""
    if type(error).__name__ == "OutOfMemoryError":  # torch's; not imported for it
        return _message_of_device(error)
    if out_of_memory(error) and getattr(error, "filename", None) is None:
        return _message_of_memory(error)
    if not isinstance(error, OSError) or error.errno not in MENDS or error.errno == errno.EAGAIN:
        return None
    if error.errno in _OF_A_FILE and error.filename is None:
        return None
    return _message(error, os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None)


def out_of_memory(error: BaseException) -> bool:
    """Whether the process got no more memory, be the error one of Python's or of a library's in another language."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    of_a_library = type(error).__module__.partition(".")[0] in _LIBRARIES
    if not isinstance(error, RuntimeError | ImportError | OSError) and not of_a_library:
        return False
    said = str(error)
    return any(words in said for words in _WORDS_OF_MEMORY) and not _OF_A_DEVICE.search(said)


def _message_of_memory(error: BaseException) -> str:
    # The last of "[enforce fail at …] … DefaultCPUAllocator: can't allocate memory: you tried to allocate … bytes".
    lines = [line for line in str(error).splitlines() if any(words in line for words in _WORDS_OF_MEMORY)]
    said = (lines or str(error).splitlines() or [""])[0].rpartition("DefaultCPUAllocator: ")[2].strip()[:300]
    return (
        f"not enough memory{f' ({said})' if said else ''}; a limit (ulimit -v, ulimit -u, the container's) or other "
        "programs leave too little: raise it, or set fewer data.workers, a smaller batch or smaller images"
    )


def _message_of_device(error: BaseException) -> str:
    said = ". ".join(str(error).split(". ")[:2])[:300]
    return (
        f"not enough memory of the GPU ({said}); take fewer images at once (training.per_device_batch, test.batch), "
        "smaller ones (data.shortest_side), training.precision=bf16, or free what others hold of it (nvidia-smi)"
    )


def as_user_error(error: OSError, what: str) -> UserError:
    """The same for an error whose `what` (a file, an option) its raiser knows."""
    return UserError(_message(error, what))


def _message(error: OSError, what: str | None) -> str:
    mend = MENDS.get(error.errno or 0, "")
    return ": ".join(filter(None, (what, error.strerror or str(error)))) + (f"; {mend}" if mend else "")
