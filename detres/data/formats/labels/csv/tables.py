"""Rows of a text of separated values: commas, semicolons or tabs, with quotes or without, as any editor saves them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from detres.errors import DataError
from detres.files.text import decode_text, read_text

MOST_BYTES = 1 << 30
_DELIMITERS = ",;\t"
# Of a file that is only looked at.
_LOOK = 1 << 16

Row = tuple[int, list[str]]  # the number of its (last) line, its cells without the spaces around them


def read_rows(file: Path, *, most: int = MOST_BYTES) -> Iterator[Row]:
    """The rows that hold anything. Raises DataError where the file cannot be read, or quotes no end of a cell."""
    yield from _rows(read_text(file, most=most), str(file))


def first_rows(file: Path, count: int) -> list[Row]:
    """The first rows; none where these are none of a table, for those who only look."""
    try:
        with file.open("rb") as stream:
            content = stream.read(_LOOK)
        # A letter may be cut in two, and the last row is.
        whole = content if len(content) < _LOOK else content[: content.rfind(b"\n") + 1]
        return [row for row, _ in zip(_rows(decode_text(whole, str(file)), str(file)), range(count), strict=False)]
    except (OSError, DataError):
        return []


def _rows(text: str, where: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text), delimiter=_delimiter(text), skipinitialspace=True)
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                yield reader.line_num, stripped
    except csv.Error as error:
        raise DataError(f"{where}: line {reader.line_num}: this is no table: {error}") from None


def _delimiter(text: str) -> str:
    """What the first line has most of, outside quotes."""
    line = next((line for line in io.StringIO(text) if line.strip()), "")[:_LOOK]
    try:
        return max(
            _DELIMITERS, key=lambda mark: len(next(csv.reader([line], delimiter=mark, skipinitialspace=True), []))
        )
    except csv.Error:
        return ","
