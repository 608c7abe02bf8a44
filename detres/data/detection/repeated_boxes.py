"""Boxes that stand twice: the same class at the same place on the same image, as merged files and copied lines have it.

T boxes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Odd numbers without a pattern, so that a row's columns do not cancel each other out.
_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)


def repeated_rows(
    owner: NDArray[np.int64],
    labels: NDArray[np.int64],
    xyxy: NDArray[np.float64],
    ignore: NDArray[np.bool_],
    good: NDArray[np.bool_],
) -> list[int]:
    """Ascending indices of the good boxes that stand there already: all but one of each class, place and image.

    owner, labels, ignore, good: (T,). xyxy: (T, 4). The one that is kept is the first that is to be found, if any is.
    Millions of boxes are gone through at once, by a number each; only those whose numbers agree are compared.
    """
    rows = np.flatnonzero(good)
    numbers = _numbers(owner[rows], labels[rows], xyxy[rows])
    order = np.argsort(numbers, kind="stable")
    same = numbers[order[1:]] == numbers[order[:-1]]
    candidates = np.zeros(len(rows), dtype=bool)
    candidates[order[1:][same]] = candidates[order[:-1][same]] = True
    first: dict[Any, int] = {}
    repeated = []
    for row in rows[candidates].tolist():
        key = (int(owner[row]), int(labels[row]), *xyxy[row].tolist())
        kept = first.setdefault(key, row)
        if kept == row:
            continue
        if ignore[kept] and not ignore[row]:
            first[key], row = row, kept
        repeated.append(row)
    return sorted(repeated)


def _numbers(owner: NDArray[np.int64], labels: NDArray[np.int64], xyxy: NDArray[np.float64]) -> NDArray[np.uint64]:
    """(T,) equal where all columns are, and else hardly ever."""
    columns = [owner.astype(np.uint64), labels.astype(np.uint64)]
    # Adding zero makes -0.0 the 0.0 that it equals.
    columns += [column.view(np.uint64) for column in np.ascontiguousarray((xyxy + 0.0).T)]
    numbers = np.zeros(len(owner), dtype=np.uint64)
    for column in columns:
        numbers = (numbers ^ column) * np.uint64(_MIX[0])
        numbers = (numbers ^ (numbers >> np.uint64(29))) * np.uint64(_MIX[1])
    return numbers
