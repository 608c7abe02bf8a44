"""Our docstrings as the reStructuredText that autodoc reads.

They are plain text: a sentence, then `name: what it is` of arguments, several in a line, what is raised, and code that
is indented.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

_CODE = re.compile(r"`([^`]+)`")
_MARKUP = re.compile(r"([\\*|]|_(?=\W|$))")
# A line that is shorter than this by more than the next word was broken off on purpose.
_FULL = 100
_INDENT = "    "


def as_rst(lines: Sequence[str], names: Collection[str]) -> list[str]:
    """Arguments become a list, code a literal block, and what means something to reStructuredText alone is escaped.

    names: what may stand before a colon: the arguments, or the fields of a class.
    """
    found: list[str] = []
    for paragraph in _paragraphs(lines):
        if paragraph[0].startswith(_INDENT):
            found += ["::", "", *paragraph, ""]
            continue
        head, fields = _split(" ".join(paragraph), names)
        found += [_escaped(head), ""] if head else []
        found += [f"- **{name}**: {_escaped(text)}" for name, text in fields]
        found += [""] if fields else []
    return found


def _paragraphs(lines: Sequence[str]) -> Iterator[list[str]]:
    """Lines that belong together: up to an empty one, a change of indent, or one that was broken off."""
    current: list[str] = []
    for line in lines:
        if current and (not line.strip() or _begins(current[-1], line)):
            yield current
            current = []
        if line.strip():
            current.append(line)
    if current:
        yield current


def _begins(before: str, line: str) -> bool:
    if line.startswith(_INDENT) != before.startswith(_INDENT):
        return True
    return before.endswith(".") and len(before) + len(line.split()[0]) < _FULL


def _split(text: str, names: Collection[str]) -> tuple[str, list[tuple[str, str]]]:
    """What stands before the first field, and (names, text) of each."""
    name = "|".join(sorted(map(re.escape, names), key=len, reverse=True)) or "(?!)"
    parts = re.split(rf"(?:^|(?<=[.;)] ))((?:{name})(?:, (?:{name}))*): ", text)
    return parts[0].strip(), list(zip(parts[1::2], map(str.strip, parts[2::2]), strict=True))


def _escaped(text: str) -> str:
    parts = _CODE.split(text)
    parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)
