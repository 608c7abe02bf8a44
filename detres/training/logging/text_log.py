"""log.txt: what the screen says, kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detres.training.logging.logger import Kind, RunStart
from detres.training.logging.report_lines import line_of
from detres.training.logging.waiting_file import WaitingFile


class TextLog:
    """A line for everything that is told."""

    def start(self, run: RunStart) -> None:
        self._steps, self.waiting_file = run.steps, WaitingFile(run.folder / "log.txt")

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        self.waiting_file.write_line(line_of(kind, step, values, self._steps))

    def finish(self) -> None:
        self.waiting_file.close()
