"""What is wrong with a config, in plain words: the key, what it got, what it takes, and the nearest name.

A *path* is a tuple of keys from the top of the config, written with dots: ("optimizer", "lr") is optimizer.lr.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from detres.lookup import nearest

Path = tuple[str, ...]

MOST_PROBLEMS = 50
_LONGEST_KEY = 80


def _short(key: str) -> str:
    return key if len(key) <= _LONGEST_KEY else f"{key[: _LONGEST_KEY - 3]}..."


def describe_problems(error: ValidationError, schema: type[BaseModel]) -> list[tuple[Path, str]]:
    """One (path, sentence) for every problem pydantic found; the sentence begins with the dotted key.

    Of more than MOST_PROBLEMS, the first are told.
    """
    known = tuple(all_keys(schema))
    problems = []
    details = error.errors(include_url=False)
    for detail in details[:MOST_PROBLEMS]:
        path = tuple(_short(str(part)) for part in detail["loc"])
        if detail["type"] == "extra_forbidden":
            problems.append((path, _unknown(path, known)))
        else:
            problems.append((path, _wrong_value(path, detail)))
    if len(details) > MOST_PROBLEMS:
        problems.append(((), f"and {len(details) - MOST_PROBLEMS} more problems"))
    return problems


def in_a_line(error: Exception) -> str:
    """What is wrong with something that nobody wrote by hand, for people: no line breaks, and no words of Python's."""
    if isinstance(error, ValidationError):
        details = error.errors(include_url=False)[:3]
        paths = [tuple(_short(str(part)) for part in each["loc"]) or (error.title,) for each in details]
        return "; ".join(
            f"{'.'.join(path)} is unknown" if each["type"] == "extra_forbidden" else _wrong_value(path, each)
            for path, each in zip(paths, details, strict=True)
        )
    if isinstance(error, KeyError):
        return f"it has no {_short(str(error.args[0]))}"
    if isinstance(error, TypeError | AttributeError):
        return "a value is of another kind than it has to be"
    return " ".join(str(error).split()) or type(error).__name__


def all_keys(schema: type[BaseModel], above: Path = ()) -> Iterator[Path]:
    """The path of every group and every key of a schema, outermost first."""
    for name, field in schema.model_fields.items():
        yield (*above, name)
        group = field.annotation
        if isinstance(group, type) and issubclass(group, BaseModel):
            yield from all_keys(group, (*above, name))


def _unknown(path: Path, known: tuple[Path, ...]) -> str:
    suggestion = _nearest_key(path, known)
    mend = f"did you mean {'.'.join(suggestion)}?" if suggestion else _choices(path, known)
    return f"{'.'.join(path)} is unknown; {mend}"


def _nearest_key(path: Path, known: tuple[Path, ...]) -> Path | None:
    """The key of the same group that looks alike, else the same name in another group, else what looks alike there."""
    group, leaf = path[:-1], path[-1]
    siblings = {key[-1]: key for key in known if key[:-1] == group}
    if close := nearest(leaf, siblings, 1):
        return siblings[close[0]]
    elsewhere: dict[str, list[Path]] = {}
    for key in known:
        elsewhere.setdefault(key[-1], []).append(key)
    if close := [leaf] if leaf in elsewhere else nearest(leaf, elsewhere, 1):
        # Of several groups that have it, the one whose whole path looks most like what was written.
        return max(
            elsewhere[close[0]], key=lambda key: difflib.SequenceMatcher(None, ".".join(path), ".".join(key)).ratio()
        )
    return None


def _choices(path: Path, known: tuple[Path, ...]) -> str:
    group = path[:-1]
    names = ", ".join(key[-1] for key in known if key[:-1] == group)
    return f"{'.'.join(group) or 'a config'} takes {names}" if names else f"{'.'.join(group)} takes no keys"


_EXPECTED: dict[str, Callable[[dict[str, Any]], str]] = {
    "greater_than": lambda ctx: f"a number above {ctx['gt']}",
    "greater_than_equal": lambda ctx: f"a number of at least {ctx['ge']}",
    "less_than": lambda ctx: f"a number below {ctx['lt']}",
    "less_than_equal": lambda ctx: f"a number of at most {ctx['le']}",
    "too_short": lambda ctx: f"at least {ctx['min_length']} values",
    "too_long": lambda ctx: f"at most {ctx['max_length']} values",
    "missing": lambda ctx: "a value here",
}
_EXPECTED_BY_PREFIX = (
    ("int_", "a whole number"),
    ("float_", "a number"),
    ("finite_number", "a finite number"),
    ("bool_", "true or false"),
    ("string_", "text"),
    ("tuple_", "a list in brackets"),
    ("list_", "a list in brackets"),
    ("dict_", "a group of keys"),
    ("model_", "a group of keys"),
    ("none_", "null"),
)


def _wrong_value(path: Path, detail: ErrorDetails) -> str:
    if detail["type"] == "value_error":
        where = f"{'.'.join(path)}: " if path else ""
        return f"{where}{detail['ctx']['error']}"
    got = "nothing" if detail["type"] == "missing" else f"{detail['input']!r}"
    if len(got) > 80:
        got = got[:77] + "..."
    return f"{'.'.join(path)}: got {got}, expected {_expected(detail)}"


def _expected(detail: ErrorDetails) -> str:
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "literal_error":
        # 'c4', 'dc5' or 'fpn'; numbers stand without quotes.
        allowed = [text or number for text, number in re.findall(r"'([^']*)'|(\d+)", context["expected"])]
        close = nearest(str(detail["input"]), allowed, 1)
        return f"one of {', '.join(allowed)}" + (f"; did you mean {close[0]}?" if close else "")
    if kind in _EXPECTED:
        return _EXPECTED[kind](context)
    for prefix, text in _EXPECTED_BY_PREFIX:
        if kind.startswith(prefix):
            return text
    return f"something else: {detail['msg']}"
