"""How any file of ours is written: whole or not at all, whenever the process, the disk or the machine stops."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from detres.system_errors import as_user_error

try:
    import fcntl
except ImportError:  # Windows has no such locks; there what killed processes left stays until the run goes on.
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

_PARTIAL = ".partial"
# As mkstemp names it.
_OURS = re.compile(r"\..+\.\w{8}\.partial")


def write_whole(file: Path, content: str) -> Path:
    """Write text, UTF-8 (file names that are no UTF-8 keep their bytes). Raises UserError where the disk refuses."""
    with whole_file(file) as stream:
        stream.write(content.encode("utf-8", errors="surrogateescape"))
    return file


@contextmanager
def whole_file(file: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """A stream whose bytes stand under the file's name once all of them are written, and nowhere where one is not.

    durable: it is on the disk when this returns, and so survives a machine that stops; one of thousands of pictures
    need not.
    Raises UserError where the folder or the file cannot be written (a full disk, no permission); what stood under the
    name is then still there.
    """
    with told_of_disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name[:100]}.", suffix=_PARTIAL)
        try:
            with os.fdopen(handle, "wb") as stream:
                _lock(handle)  # Says for as long as it is open that somebody writes here.
                yield stream
                stream.flush()
                if durable:
                    os.fsync(handle)
            os.chmod(partial, 0o644)  # mkstemp's files are private to their maker
            os.replace(partial, file)
            if durable:
                flush(file.parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise


@contextmanager
def whole_path(file: Path) -> Iterator[Path]:
    """whole_file for what writes to a path: a path beside the file, whose content gets the file's name at the end."""
    with told_of_disk(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        # Some writers choose a format by the ending.
        partial = file.with_name(f".{file.stem[:100]}.{os.getpid()}{_PARTIAL}{file.suffix}")
        try:
            yield partial
            os.chmod(partial, 0o644)
            flush(partial)
            os.replace(partial, file)
            flush(file.parent)
        except BaseException:
            with suppress(OSError):
                os.unlink(partial)
            raise


def flush(path: Path) -> None:
    """Force a file, or a folder's list of names, onto the disk; some file systems take no such word for folders."""
    is_folder = path.is_dir()
    if is_folder and os.name == "nt":
        return  # Windows cannot open folders; its file system journals renames
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not is_folder or error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


@contextmanager
def told_of_disk(place: Path) -> Iterator[None]:
    """Turn what the system says of a file or folder that cannot be written into a UserError that names it.

    Its cause is the system's error.
    """
    try:
        yield
    except Exception as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
        raise as_user_error(refusal, f"{place}: cannot be written") from refusal


def refusal_of(error: Exception) -> OSError | None:
    """What the system said; None where it said nothing. Libraries in other languages pass its words on as their own."""
    if isinstance(error, OSError):
        return error
    if found := re.search(r"\(os error (\d+)\)", str(error)):  # safetensors
        return OSError(int(found[1]), os.strerror(int(found[1])))
    if any(words in str(error) for words in ("PytorchStreamWriter", "inline_container.cc", "iostream error")):  # torch
        return OSError(errno.ENOSPC, "the disk is full, or fails")
    return None


def clean_dead_partials(folder: Path) -> None:
    """As clean_partials, where other processes may be writing: what one writes at this moment is spared."""
    for partial in folder.glob(f".*{_PARTIAL}"):
        if _OURS.fullmatch(partial.name):
            with suppress(OSError), partial.open("r+b") as left:
                # A second after it was begun, whoever writes it has locked it.
                if time.time() - os.fstat(left.fileno()).st_mtime > 1 and _lock(left.fileno()):
                    partial.unlink()


def _lock(handle: int) -> bool:
    """Whether the file is ours alone now; False also where the file system or the system has no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (OSError, AttributeError):
        return False
    return True


def clean_partials(folder: Path) -> None:
    """Remove what killed processes left of files they were writing in `folder`, where no other process writes."""
    for partial in folder.glob(f".*{_PARTIAL}*"):
        with suppress(OSError):
            partial.unlink()
