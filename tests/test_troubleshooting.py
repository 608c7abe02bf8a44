"""Every message that docs/troubleshooting.md quotes is one that the program can print."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"
# Of a text's fixed part, so that a few words do not match everything.
_LEAST = 13


def quoted() -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(r"```\{code-block\} text\n:class: message\n\n(.*?)\n```", text, flags=re.DOTALL)


@cache
def texts() -> tuple[re.Pattern[str], ...]:
    """The string literals of detres as patterns, in which what is filled in may be anything."""
    found = {
        pattern for file in (ROOT / "detres").rglob("*.py") for pattern in patterns(file.read_text(encoding="utf-8"))
    }
    return tuple(re.compile(pattern, flags=re.DOTALL) for pattern in found)


def patterns(source: str) -> Iterator[str]:
    """Of each text in a source, long enough to be told from others."""
    tree = ast.parse(source)
    inner = {part for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if node in inner:
            continue  # It is a part of a text.
        if isinstance(node, ast.JoinedStr):
            fixed = [part.value if isinstance(part, ast.Constant) else None for part in node.values]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            fixed = [node.value]
        else:
            continue
        if sum(len(str(part)) for part in fixed if part is not None) >= _LEAST:
            yield "".join(".*?" if part is None else re.escape(str(part)) for part in fixed)


def is_said(message: str) -> bool:
    """Whether one text of the program, filled in, stands in the message."""
    return any(text.search(message) for text in texts())


def test_the_page_quotes_messages() -> None:
    assert len(quoted()) > 15
    assert len(set(quoted())) == len(quoted())


@pytest.mark.parametrize("message", quoted(), ids=lambda message: message[:60])
def test_a_quoted_message_is_one_of_the_programs(message: str) -> None:
    assert is_said(message)


def test_a_message_that_the_program_never_prints_is_none_of_its() -> None:
    assert not is_said("ConfigError: the moon is not full enough for this optimizer; wait for a week")


def test_what_is_filled_in_may_be_anything_and_what_is_fixed_may_not() -> None:
    (pattern,) = patterns('f"{path}: there is no such file anywhere; {mend}"')
    assert re.search(pattern, "a.json: there is no such file anywhere; give another")
    assert not re.search(pattern, "a.json: there is such a file somewhere; give another")
    assert list(patterns('x = "short"')) == []
