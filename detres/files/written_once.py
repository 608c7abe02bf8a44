"""Folders that detres fills itself, on first use: drawn sets, unpacked archives."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from detres.errors import DataError
from detres.files.remove import remove

try:
    import fcntl
except ImportError:  # Windows has no such locks; there the folders of killed processes stay.
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

_STAMP = "VERSION.txt"


def write_once(
    root: Path, version: str, write: Callable[[Path], None], *, stamp: str = _STAMP, renew: bool = False
) -> None:
    """Have `write` fill root, unless this version of the set is there.

    It is written beside root and renamed when it is complete: processes that do so at once do not disturb each other.
    What killed ones left of it is taken away. stamp: the file in root that says which version it is. renew: another
    version, known by that file, is replaced.
    Raises DataError where root holds something else or cannot be written.
    """
    if _is_complete(root, version, stamp, renew) and not any(_leftovers(root)):
        return
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        with _alone_in(root.parent) as alone:
            if alone:
                for path in _leftovers(root):
                    remove(path)
            if not _is_complete(root, version, stamp, renew):
                if (root / stamp).is_file():
                    remove(root)
                _write_beside(root, version, write, stamp)
    except OSError as error:
        raise DataError(
            f"{root}: the set cannot be written there ({error.strerror}); make room, or set data.root"
        ) from None


def _write_beside(root: Path, version: str, write: Callable[[Path], None], stamp: str) -> None:
    partial = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}-"))
    try:
        write(partial)
        (partial / stamp).write_text(version + "\n")
        partial.chmod(0o755)  # mkdtemp's folders are private to their maker
        try:
            partial.rename(root)
        except OSError:
            # Another process was first.
            if not _is_complete(root, version, stamp, renew=False):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _leftovers(root: Path) -> Iterator[Path]:
    """Folders that are being written, or were when their process was killed: mkdtemp's names have eight letters."""
    return root.parent.glob(f".{root.name}-????????")


@contextmanager
def _alone_in(folder: Path) -> Iterator[bool]:
    """Wait for others that write sets below a folder; whether nobody else does, which not every file system can say."""
    descriptor = os.open(folder, os.O_RDONLY) if fcntl is not None else None
    try:
        yield descriptor is not None and _locked(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError:
        return False
    return True


def _is_complete(root: Path, version: str, stamp: str, renew: bool) -> bool:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    file = root / stamp
    found = file.read_text(encoding="utf-8").strip() if file.is_file() else "something else"
    if found != version:
        if renew and file.is_file():
            return False
        raise DataError(f"{root}: it holds {found}, this is {version}; remove the folder, or set data.root to another")
    return True
