"""One process at a time trains in a run folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detres.errors import ConfigError
from detres.files.whole import told_of_disk

try:
    import fcntl
except ImportError:  # Windows has no such locks; there the folder is not guarded.
    fcntl = None  # type: ignore[assignment]  # a module elsewhere

LOCK_FILE = ".lock"


@contextmanager
def only_run_in(folder: Path) -> Iterator[None]:
    """Hold the folder; the system lets go of it however the process ends.

    Raises ConfigError where another holds it, UserError where the folder cannot be written to.
    """
    with told_of_disk(folder / LOCK_FILE):
        file = (folder / LOCK_FILE).open("w")
    with file:
        if fcntl is not None:
            try:
                # A POSIX lock, which children do not inherit: after a kill -9, loader workers would keep a flock alive.
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):  # POSIX leaves systems the choice.
                raise ConfigError(
                    f"{folder}: another process is training in this run folder; wait for it, or name another with --out"
                ) from None
            except OSError:
                pass  # A file system without locks.
        yield
