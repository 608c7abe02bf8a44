"""What comes out of a pickle, and the bounds that it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

SPARE = 128 << 20
"""Bytes beyond twice a file's length that it may ask for: room for small files, and for what Python adds to values."""
_DEEPEST = 200
# Whole numbers of as many bits are their own hash: others could all be made to fall together in a dict.
_WIDEST_KEY = 2**60


@dataclass(frozen=True)
class Inert:
    """Stands for what was not built: a class, a function, or what a call of it would have given.

    name: module and name, as the file has them.
    """

    name: str

    def __repr__(self) -> str:
        return f"<an inert {self.name}>"


@dataclass(frozen=True)
class Builder:
    """What a reader rebuilds. build: takes a call's arguments, which it checks; raises ValueError for others."""

    name: str
    build: Callable[..., Any]


@dataclass(eq=False)
class Unfinished:
    """A value that a state completes. finish: the state -> the value that stands in its place.

    remembered: the numbers under which the pickle's memory holds it.
    """

    name: str
    finish: Callable[[Any], Any]
    remembered: list[int] = field(default_factory=list)


def described(value: Any) -> str:
    """What a value of a file is, for messages: short whatever it holds, since written out it may have no end."""
    if isinstance(value, Inert | Builder | Unfinished):
        return value.name[:100]
    if isinstance(value, str | bytes):
        return repr(value[:60])
    if isinstance(value, bool | float) or value is None or (isinstance(value, int) and abs(value) < 2**64):
        return repr(value)
    return f"a {type(value).__name__}"


def checked_key(key: Any) -> Any:
    """Keys whose hashes nobody can make fall together: text, numbers of usual size, names, and tuples of text.

    Raises ValueError for others: a hundred thousand keys of one hash take hours.
    """
    if isinstance(key, str | bytes | float | Inert) or key is None:
        return key
    if isinstance(key, int) and abs(key) < _WIDEST_KEY:
        return key
    if isinstance(key, tuple) and len(key) < 20 and all(isinstance(part, str) for part in key):
        return key
    raise ValueError(f"{described(key)} as a key of a dict or a member of a set")


def check_tree(value: Any, length: int, *, most: int) -> None:
    """Raise ValueError where a value, written out, would be too deep or too large: a walk over it might never end.

    The same list ten times in a list, and that ten times in the next, is short in a pickle and has no end in a walk.
    length: of the file in bytes; arrays and tensors, counted wherever they stand, may have twice as many and SPARE.
    most: values, counted likewise.
    """
    waiting, seen, room = [iter((value,))], 0, 2 * length + SPARE
    while waiting:
        for part in waiting[-1]:
            seen += 1
            if isinstance(part, dict | list | tuple):
                waiting.append(_parts(part))
                break
            if isinstance(part, Unfinished):
                raise ValueError(f"{part.name} without its content")
            room -= getattr(part, "nbytes", 0)
        else:
            waiting.pop()
        if len(waiting) > _DEEPEST:
            raise ValueError(f"values within values, more than {_DEEPEST} deep")
        if seen > most:
            raise ValueError(f"more than {most} values, counted wherever they stand")
        if room < 0:
            raise ValueError(f"its arrays have more than twice the {length} bytes of the file")


def _parts(value: dict[Any, Any] | list[Any] | tuple[Any, ...]) -> Iterator[Any]:
    return iter(value.values()) if isinstance(value, dict) else iter(value)
