"""What commands print: lines once, whatever the number of ranks, and how far they are, on a terminal."""

from __future__ import annotations

import os
import sys

from detres.errors import spelled_out
from detres.reporter import SILENT, Reporter


def on_terminal() -> Reporter:
    """Lines on the main rank alone; the number of images done in place, where somebody watches."""
    # By the environment: a command says things before torch's group of processes is there.
    if os.environ.get("RANK", "0") != "0":
        return SILENT
    if sys.stderr.isatty():
        return Reporter(_print, _show, sys.stdout)
    return Reporter(_print, terminal=sys.stdout)


def _print(line: str) -> None:
    """Lines quote names of files and classes, which may hold a terminal's commands."""
    print("\n".join(map(spelled_out, line.split("\n"))), flush=True)


def _show(done: int) -> None:
    print(f"\r{done} images", end="", file=sys.stderr, flush=True)
