"""A file that a run adds to, whatever the disk does."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


class WaitingFile:
    """What the disk refuses waits in memory until it takes it, so that nothing is torn and nothing is missing.

    error: why the disk refuses, None while it does not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self._waiting = b""
        self._descriptor: int | None = None

    def write(self, data: bytes) -> None:
        self._waiting += data
        try:
            if self._descriptor is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            while self._waiting:
                # What was taken waits no longer, though the rest of it may have to.
                self._waiting = self._waiting[os.write(self._descriptor, self._waiting) :]
            self.error = None
        except OSError as error:
            self.error = error

    def write_line(self, line: str) -> None:
        """Add a line, given without its end; of a file's name that is no UTF-8, its own bytes."""
        self.write(line.encode("utf-8", errors="surrogateescape") + b"\n")

    def close(self) -> None:
        if self._descriptor is not None:
            with suppress(OSError):  # Some disks say only now that they are full.
                os.close(self._descriptor)
            self._descriptor = None
