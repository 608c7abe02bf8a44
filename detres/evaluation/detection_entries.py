"""Entries of COCO's results format as other programs write them: what is a number, and which image an id names."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detres.data.values import excerpt, finite_number, whole_number

_TOO_LARGE = 10**300  # for a float


def box_of(entry: dict[str, Any]) -> tuple[float, float, float, float] | None:
    """x, y, width, height, finite or not; None where the bbox is no list of four numbers."""
    stated = entry["bbox"]
    if not isinstance(stated, list | tuple) or len(stated) != 4:
        return None
    x, y, width, height = map(number_of, stated)
    return None if x is None or y is None or width is None or height is None else (x, y, width, height)


def number_of(value: Any) -> float | None:
    """A number as a float, also one that is not finite or too large to be; None for what is no number at all."""
    if type(value) is float:
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value) if abs(value) < _TOO_LARGE else math.inf
    return finite_number(value)


def with_ids_of(entries: Sequence[Any], ground_truth: dict[str, Any], other_ids: Mapping[Any, Any]) -> list[Any]:
    """The entries with the set's own ids of images and categories where they have them as text, or as 8.0.

    other_ids: further ids of categories, each with the set's own.
    What names nothing of the set, or is no entry, stays as it is.
    """
    categories = [category["id"] for category in ground_truth["categories"]]
    known = {
        "image_id": _by_text((image["id"], image["id"]) for image in ground_truth["images"]),
        "category_id": _by_text([*zip(categories, categories, strict=True), *other_ids.items()]),
    }
    return [
        entry | {key: _own_id(entry[key], ids) for key, ids in known.items() if key in entry}
        if isinstance(entry, dict)
        else entry
        for entry in entries
    ]


def shown(value: Any) -> str:
    """A value of anybody's file for a message: not longer than a line."""
    try:
        text = repr(excerpt(value))
    except (ValueError, RecursionError):  # thousands of digits, lists in lists
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= 80 else f"{text[:77]}…"


def _by_text(ids: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    """What each id means by its text; without those that two share, such as 8 and "8"."""
    pairs = [(str(each), own) for each, own in ids]
    counts = Counter(text for text, _ in pairs)
    return {text: own for text, own in pairs if counts[text] == 1}


def _own_id(stated: Any, ids: dict[str, Any]) -> Any:
    if type(stated) is str and stated in ids:
        return ids[stated]
    number = whole_number(stated)
    return stated if number is None else ids.get(str(number), stated)
