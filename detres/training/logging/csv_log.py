"""metrics.csv: a row for each line of metrics.jsonl that holds numbers, for spreadsheets.

Columns are kind, step, and the names of the numbers in the order in which they first came. What is undefined, nested or
text is left out, and so are events.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detres.files.whole import write_whole
from detres.training.logging.logger import Kind, RunStart, finite_numbers

Row = Mapping[str, Any]


class CsvLog:
    """Rows are added to the file; a number with a new name lets it be written anew, with a column more."""

    def start(self, run: RunStart) -> None:
        self._path = run.folder / "metrics.csv"
        self._columns, rows = _read(self._path)
        if self._path.exists():
            write_whole(self._path, _text([row for row in rows if _counts(row, run)], self._columns, header=True))

    def metrics(self, kind: Kind, step: int, values: Mapping[str, Any]) -> None:
        if kind == "event":
            return
        row = {"kind": kind, "step": step, **finite_numbers(values)}
        new = [name for name in row if name not in self._columns]
        if new or not self._path.exists():
            _, rows = _read(self._path)
            self._columns += new
            write_whole(self._path, _text([*rows, row], self._columns, header=True))
        else:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(_text([row], self._columns))

    def finish(self) -> None:
        pass  # the file is closed after every row


def _read(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """The columns and the rows of a file, without a last row that was torn; none where there is no file."""
    if not path.exists():
        return [], []
    whole, _, _ = path.read_text(encoding="utf-8", errors="replace").rpartition("\n")
    columns, *rows = [*csv.reader(io.StringIO(whole))] or [[]]
    return columns, [dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)]


def _text(rows: Sequence[Row], columns: Sequence[str], *, header: bool = False) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _counts(row: Mapping[str, str], run: RunStart) -> bool:
    step = row.get("step", "")
    return step.isdecimal() and run.keeps(row.get("kind", ""), int(step))
