"""Our docstrings as the reStructuredText that autodoc reads.

They are plain text: a sentence, then `name: what it is` for arguments, what is raised, and code that is indented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_FIELD = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): (?=\S)")
_CODE = re.compile(r"`([^`]+)`")
_MARKUP = re.compile(r"([\\*|]|_(?=\W|$))")
# A line that is shorter than this by more than the next word was broken off on purpose.
_FULL = 100


def as_rst(lines: Sequence[str]) -> list[str]:
    """Arguments become a list, code a literal block, and what means something to reStructuredText alone is escaped."""
    found: list[str] = []
    in_field, before = False, ""
    for line in lines:
        if line.startswith("    "):
            found += ["::", ""] if not before.strip() else []
            found.append(line)
        elif not line.strip():
            found.append("")
            in_field = False
        else:
            field = _FIELD.match(line)
            if before and (field or _begins(before, line)):
                found.append("")
                in_field = False
            if field:
                found.append(f"- **{field[1]}**: {_escaped(line[field.end() :])}")
                in_field = True
            else:
                found += [""] if before.startswith("    ") else []
                found.append(f"{'  ' if in_field else ''}{_escaped(line)}")
        before = line
    return [*found, ""]


def _begins(before: str, line: str) -> bool:
    return before.endswith(".") and len(before) + len(line.split()[0]) < _FULL


def _escaped(text: str) -> str:
    parts = _CODE.split(text)
    parts[::2] = [_MARKUP.sub(r"\\\1", part) for part in parts[::2]]
    parts[1::2] = [f"``{part}``" for part in parts[1::2]]
    return "".join(parts)
