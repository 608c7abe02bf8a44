"""Sets that are drawn by detres itself, and written on first use."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from detres.errors import DataError

_STAMP = "VERSION.txt"


def write_once(root: Path, version: str, write: Callable[[Path], None]) -> None:
    """Have `write` fill root, unless this version of the set is there.

    It is written beside root and renamed when it is complete: processes that do so at once do not disturb each other.
    Raises DataError where root holds something else or cannot be written.
    """
    if _is_complete(root, version):
        return
    try:
        root.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=root.parent, prefix=f".{root.name}-"))
    except OSError as error:
        raise DataError(f"{root}: the set cannot be written there ({error.strerror}); set data.root") from None
    try:
        write(partial)
        (partial / _STAMP).write_text(version + "\n")
        partial.chmod(0o755)  # mkdtemp's folders are private to their maker
        try:
            partial.rename(root)
        except OSError:
            # Another process was first.
            if not _is_complete(root, version):
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _is_complete(root: Path, version: str) -> bool:
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    stamp = root / _STAMP
    found = stamp.read_text(encoding="utf-8").strip() if stamp.is_file() else "something else"
    if found != version:
        raise DataError(f"{root}: it holds {found}, this is {version}; remove the folder, or set data.root to another")
    return True
