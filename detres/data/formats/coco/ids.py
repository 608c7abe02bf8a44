"""Ids of COCO's entries, and which entry an id means when one tool wrote it as a number and another as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from detres.data.values import whole_number

T = TypeVar("T")

# Ids of all images lie in one array, as wide as the longest.
_LONGEST = 200


def read_id(value: Any) -> int | str | None:
    """An id as the file has it: a whole number (12.0 is 12), or text; None for what is neither."""
    if isinstance(value, str):
        return value if 0 < len(value) <= _LONGEST and "\0" not in value and _is_text(value) else None
    return whole_number(value)


def _is_text(value: str) -> bool:
    """Whether it is text in any encoding: JSON can hold halves of characters."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def id_order(value: int | str) -> tuple[int, int, str]:
    """A key to sort ids by: numbers, also those written as text, before all else."""
    number = whole_number(value)
    return (1, 0, str(value)) if number is None else (0, number, str(value))


class IdIndex(Generic[T]):
    """What each id stands for. Ids are told apart as text, so that 1 and "1" are one id and "01" is another.

    mended: how many were found that are written in another way than the id they mean.
    """

    def __init__(self, entries: Iterable[tuple[int | str, T]]) -> None:
        self._exact: dict[int | str, T] = dict(entries)
        self._by_text = {str(known): found for known, found in self._exact.items()}
        self._by_number: dict[int, T] | None = None
        self.mended = 0

    def find(self, value: Any) -> T | None:
        """The entry of this very id; else of the one that is the same text, or alone the same whole number."""
        kind = value.__class__
        if kind is int or kind is str:  # not bool, which is equal to 0 or 1
            found = self._exact.get(value)
            if found is not None:
                return found
        return self._find_otherwise(value)

    def _find_otherwise(self, value: Any) -> T | None:
        known = read_id(value)
        if known is None:
            return None
        found = self._by_text.get(str(known))
        number = whole_number(value)
        if found is None and number is not None:
            found = self._numbers().get(number)
        if found is not None and not isinstance(value, float):
            self.mended += 1
        return found

    def _numbers(self) -> dict[int, T]:
        """Entries by the whole number their id is, where it is that of no other."""
        if self._by_number is None:
            numbers = [(whole_number(known), found) for known, found in self._exact.items()]
            counts: dict[int | None, int] = {}
            for number, _ in numbers:
                counts[number] = counts.get(number, 0) + 1
            self._by_number = {n: found for n, found in numbers if n is not None and counts[n] == 1}
        return self._by_number
