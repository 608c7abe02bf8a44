"""What evaluating commands print: lines once, whatever the number of ranks, and how far they are, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable


def say(line: str) -> None:
    """Print a line, on the main rank alone."""
    from detres.distributed import is_main

    if is_main():
        print(line, flush=True)


def progress_on_terminal() -> Callable[[int], None] | None:
    """Shows the number of images done in place; None where nobody watches."""
    return _show if sys.stderr.isatty() else None


def _show(done: int) -> None:
    print(f"\r{done} images", end="", file=sys.stderr, flush=True)
