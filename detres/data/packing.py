"""Lists of lists kept in two flat arrays, so that workers share them: all entries, and where each list begins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def pack_names(names: Sequence[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Names as one array of bytes and the offsets (I + 1,) where each begins and the last ends.

    Names that are no UTF-8 keep their bytes.
    """
    encoded = [name.encode(errors="surrogateescape") for name in names]
    packed = np.frombuffer(b"".join(encoded), dtype=np.uint8)
    return packed, offsets_of(np.array([len(name) for name in encoded], dtype=np.int64))


def offsets_of(counts: NDArray) -> NDArray[np.int64]:
    """Where rows of these lengths begin, and where the last one ends: one more than counts."""
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def gather_ranges(offsets: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The indices offsets[c]..offsets[c + 1] - 1 of every chosen c, one after the other."""
    counts = np.diff(offsets)[chosen]
    starts = np.repeat(offsets[chosen] - offsets_of(counts)[:-1], counts)
    return starts + np.arange(counts.sum())
