"""JSON that came with a file of others: of bounded length and depth, its numbers finite."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

_LONGEST = 4 << 20
_DEEPEST = 40


def parse_json(text: str) -> Any:
    """The value. Raises ValueError that says why where it is none, or one that a program cannot be expected to hold."""
    if len(text) > _LONGEST:
        raise ValueError(f"JSON of {len(text)} characters, expected {_LONGEST} at most")
    if _depth(text) > _DEEPEST:
        raise ValueError(f"JSON more than {_DEEPEST} deep")
    return json.loads(text, parse_constant=_no_number, parse_float=_finite)


def _depth(text: str) -> int:
    """Of the brackets, also those within strings, of which no text of ours has many."""
    deepest = depth = 0
    for letter in text:
        if letter in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif letter in "]}":
            depth -= 1
    return deepest


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} where a number belongs")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is beyond any number")
    return number
