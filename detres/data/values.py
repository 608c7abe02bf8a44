"""Numbers, flags and ids of annotation files, read strictly and the same way whatever the format.

Converters write numbers as text ("0", "12.0") and people write what they like; Python's own truth of values ("0" is
true) and of numbers (float("nan"), int("1_0"), 10**400) is not what a file means. Every function returns None for what
is no such thing: the caller counts it as a problem.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from itertools import islice
from typing import Any

# No digit can be matched in two ways: what is no number after a million digits is so at once.
_NUMBER = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?\s*", re.ASCII)
_LONGEST = 1000
_WHOLE = re.compile(r"\s*[+-]?\d{1,40}(\.0*)?\s*", re.ASCII)
_LINE = 120
_FLAGS = {"": False, "false": False, "no": False, "true": True, "yes": True, "unspecified": False}


def finite_number(value: Any) -> float | None:
    """A finite float from a number or a text that is one, in ASCII digits."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if len(value) > _LONGEST or not _NUMBER.fullmatch(value):
            return None
        value = value.strip()
    elif not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except (OverflowError, ValueError):
        return None
    return number if math.isfinite(number) else None


def whole_number(value: Any) -> int | None:
    """An int from a whole number, of any length up to 40 digits, or a text that is one: 12, 12.0, "12", "12.0"."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value if abs(value) < 10**40 else None
    if isinstance(value, float):
        return int(value) if math.isfinite(value) and value.is_integer() and abs(value) < 1e40 else None
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value.strip().partition(".")[0])
    return None


def flag(value: Any) -> bool | None:
    """A flag such as iscrowd or difficult: 0 and 1 as number or text, true and false, nothing at all (None, "")."""
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and (known := _FLAGS.get(value.strip().lower())) is not None:
        return known
    number = finite_number(value)
    return None if number not in (0.0, 1.0) else bool(number)


def stem_ids(names: Sequence[str]) -> list[str]:
    """Ids of files: the shortest of stem, path without ending and path that is another for every file."""
    distinct = len(set(names))
    stems = [os.path.splitext(os.path.basename(name))[0] for name in names]
    paths = [os.path.splitext(name)[0] for name in names]
    return next((ids for ids in (stems, paths) if len(set(ids)) == distinct), list(names))


def excerpt(value: Any, depth: int = 3) -> Any:
    """The beginning of what a file holds, to be shown in a line: its repr costs no more than that line.

    A file of megabytes may be one text, and its entry would be written out whole to be cut.
    """
    if isinstance(value, str):
        return value[:_LINE]
    if not isinstance(value, list | tuple | dict):
        return value
    if not depth:
        return ...
    if isinstance(value, dict):
        return {excerpt(key): excerpt(entry, depth - 1) for key, entry in islice(value.items(), _LINE)}
    return type(value)(excerpt(entry, depth - 1) for entry in value[:_LINE])
