"""Whom work tells how it goes: one object, handed down from a command, or from your own code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO


def _nobody(told: object) -> None:
    """Who listens to SILENT."""


@dataclass(frozen=True)
class Reporter:
    """Reporter(say=print) prints lines; what is not given goes nowhere.

    say: told lines for people, such as what was loaded and left out. progress: told the number of images done on this
    rank. terminal: where the live line of a training is shown.
    """

    say: Callable[[str], object] = _nobody
    progress: Callable[[int], object] = _nobody
    terminal: TextIO | None = None

    def without_lines(self) -> Reporter:
        """Progress alone, for a part of some work that its own lines would drown."""
        return Reporter(progress=self.progress, terminal=self.terminal)


SILENT = Reporter()
