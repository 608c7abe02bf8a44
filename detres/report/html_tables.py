"""Tables as ready markup, which are read without any program; what stands in them is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Bar:
    """A bar as long as a share, 0 to 1, of its cell."""

    share: float


Cell = str | int | Bar


def html_table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """The first column heads the rows; numbers stand to the right."""
    columns = [isinstance(cell, int) for cell in rows[0]] if rows else [False] * len(head)
    titles = "".join(
        f'<th scope="col"{_number(number)}>{html.escape(text)}</th>' for text, number in zip(head, columns, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(_cell(cell, n == 0) for n, cell in enumerate(row))}</tr>" for row in rows)
    return f"<table><thead><tr>{titles}</tr></thead>\n<tbody>{body}</tbody></table>"


def html_list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{html.escape(line)}</li>" for line in lines) + "</ul>"


def _number(is_number: bool) -> str:
    return ' class="number"' if is_number else ""


def _cell(cell: Cell, first: bool) -> str:
    if isinstance(cell, Bar):
        inside = f'<i style="width: {100 * cell.share:.1f}%"></i>' if cell.share > 0 else ""
        return f'<td aria-hidden="true"><span class="bar">{inside}</span></td>'
    text = f"{cell:,}" if isinstance(cell, int) else html.escape(cell)
    return f'<th scope="row">{text}</th>' if first else f"<td{_number(isinstance(cell, int))}>{text}</td>"
