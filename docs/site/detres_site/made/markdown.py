"""Text as Markdown: what stands for itself, and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

# `_` within a word is none of Markdown's.
_MARKS = re.compile(r"([\\`*<>\[\]|{}$]|(?<!\w)_|_(?!\w))")
_CODE = re.compile(r"(`[^`]+`)")


def plain(text: str) -> str:
    """Text that shows as it stands, but for what it has in backticks, which is code."""
    parts = _CODE.split(text)
    parts[::2] = [_MARKS.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [part.replace("|", r"\|") for part in parts[1::2]]
    return "".join(parts)


def code(text: str) -> str:
    """Text as code in a cell of a table."""
    return f"`{text.replace('|', chr(92) + '|')}`"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
