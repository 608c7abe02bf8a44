"""Taking away what we made."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path


def remove(path: Path) -> None:
    """A file, a link or a folder with all that is in it, as far as the system lets us; nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
