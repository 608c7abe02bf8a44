"""metrics.md: a table with a line for each evaluation, to paste into a pull request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detres.files.whole import write_whole
from detres.training.logging.logger import Kind, RunStart, finite_numbers


class MarkdownLog:
    """Columns are the numbers of the first evaluation, by name. A run that goes on cuts off what it does again."""

    def start(self, run: RunStart) -> None:
        self._path = run.folder / "metrics.md"
        self._columns: list[str] = []
        self._lines: list[str] = []
        if self._path.exists():
            head, rule, *rows = self._path.read_text(encoding="utf-8").splitlines(keepends=True)
            self._columns = _cells(head)[1:]
            self._lines = [head, rule, *(row for row in rows if run.keeps("eval", int(_cells(row)[0])))]
            write_whole(self._path, "".join(self._lines))

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        if kind != "eval":
            return
        numbers = finite_numbers(values)
        if not self._columns:
            self._columns = list(numbers)
            self._lines = [_line(["step", *self._columns]), _line(["---:"] * (1 + len(self._columns)))]
        shown = [f"{numbers[name]:.4f}" if name in numbers else "" for name in self._columns]
        self._lines.append(_line([str(step), *shown]))
        write_whole(self._path, "".join(self._lines))

    def finish(self) -> None:
        pass  # the file is whole after every line


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]
