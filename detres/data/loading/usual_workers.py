"""How many processes load images where nobody says: one for each core that this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_MOST = 16
"""More of them take more memory, and hardly any card asks for more images."""


def cores(root: Path = Path("/")) -> int:
    """That this process may use: of the machine, of its affinity, and of what a container has of them.

    root: of the file system that says so.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _quota(root) or allowed))


def usual_workers() -> int:
    """Cores, shared by the ranks on this machine."""
    ranks = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(cores() // ranks, _MOST))


def _quota(root: Path) -> int | None:
    """Whole processors of a container's limit (control groups of version 2); None where there is none."""
    try:
        quota, period = (root / "sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return round(int(quota) / int(period)) or 1
    except (OSError, ValueError, ZeroDivisionError):  # `max`, or another version
        return None
