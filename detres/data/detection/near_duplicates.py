"""Pictures that look almost the same, as those of a burst do: which they are, and splits that keep them together.

I images. A *group* holds all pictures that are linked by steps of a few bits between their hashes (images/hashing.py).
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detres.data.detection.annotations import AnnotatedImages
from detres.data.images.hashing import difference_hash
from detres.errors import DataError

# Bits of 64 in which shots of one burst may differ; what was measured stands in docs/design.md.
NEAR = 8
ALIKE = 4
"""Bits in which pictures of two splits may differ to be told as the same: fewer, since here each pair is an alarm."""
_EDGES = 8
"""Bits that are set in the hash of a picture that shows something."""
_BITS = 64
_PAIRS_AT_ONCE = 1 << 22
_ONES = np.array([bin(number).count("1") for number in range(1 << 16)], dtype=np.uint8)


@dataclass(frozen=True)
class Parted:
    """Indices of images, ascending. together: whether near-duplicates are on one side each."""

    apart: NDArray[np.int64]
    rest: NDArray[np.int64]
    together: bool


def groups_among(images: AnnotatedImages) -> NDArray[np.int64]:
    """(I,) for each image the least index of its group. What cannot be read is a group by itself."""
    return np.array(_groups_of_files(_files_of(images), images.max_pixels))


def looking_alike(learned: AnnotatedImages, measured: AnnotatedImages) -> dict[int, int]:
    """For images of `measured` one of `learned` that looks the same, or nearly: the nearest within ALIKE bits.

    Of pictures with hardly an edge, such as blank pages, all look the same, and none is told.
    """
    before, found = list(_telling_hashes(learned)), {}
    theirs = np.array([each for _, each in before], dtype=np.uint64)
    for i, each in _telling_hashes(measured) if before else ():
        bits = _distances(theirs, np.uint64(each))
        if bits[nearest := int(bits.argmin())] <= ALIKE:
            found[i] = before[nearest][0]
    return found


def _telling_hashes(images: AnnotatedImages) -> Iterator[tuple[int, int]]:
    """Images that can be read and have edges, each with its hash."""
    hashes = _hashes_of_files(_files_of(images), images.max_pixels)
    yield from ((i, each) for i, each in enumerate(hashes) if each is not None and each.bit_count() >= _EDGES)


def _files_of(images: AnnotatedImages) -> tuple[tuple[str, bool], ...]:
    return tuple((str(images.path(i)), bool(images.turned[i])) for i in range(len(images)))


@lru_cache(maxsize=1)  # train and val are made of one set, one after the other, and pictures take long to read
def _groups_of_files(files: tuple[tuple[str, bool], ...], max_pixels: int | None) -> tuple[int, ...]:
    found = _hashes_of_files(files, max_pixels)
    readable = np.flatnonzero([each is not None for each in found])
    groups = np.arange(len(files))
    groups[readable] = readable[groups_of(np.array([each for each in found if each is not None], dtype=np.uint64))]
    return tuple(groups.tolist())


@lru_cache(maxsize=4)
def _hashes_of_files(files: tuple[tuple[str, bool], ...], max_pixels: int | None) -> tuple[int | None, ...]:
    def read(file: tuple[str, bool]) -> int | None:
        try:
            return difference_hash(file[0], file[1], max_pixels=max_pixels)
        except DataError:
            return None  # told where it is used

    with ThreadPoolExecutor() as pool:  # decoding happens outside Python's lock
        return tuple(pool.map(read, files))


def groups_of(hashes: NDArray[np.uint64], near: int = NEAR) -> NDArray[np.int64]:
    """(I,) for each image the least index of its group: those within `near` bits of each other, and theirs in turn.

    No pair is missed: of two numbers that differ in `near` bits, one of near + 1 parts is the same in both, so that
    only those which share a part are compared.
    """
    values, inverse = np.unique(hashes, return_inverse=True)
    parents = np.arange(len(values))
    for shift, width in _bands(near + 1):
        parts = (values >> np.uint64(shift)) & np.uint64((1 << width) - 1)
        order = np.argsort(parts, kind="stable")
        ends = np.flatnonzero(np.diff(parts[order])) + 1
        for members in np.split(order, ends):
            _join_near(values, members, near, parents)
    roots = _roots(parents)[inverse.reshape(-1)]
    first = np.full(len(values), len(hashes), dtype=np.int64)
    np.minimum.at(first, roots, np.arange(len(hashes)))
    return first[roots]


def part(groups: NDArray[np.int64], count: int, order: NDArray[np.int64]) -> Parted:
    """Set about `count` images apart, each group on one side whole, and something on either side.

    groups: (I,) as groups_of gives them. order: (I,) a permutation of the images, in which groups are taken. Where all
    are one group, `count` images of them are set apart: together is False.
    """
    names, sizes = np.unique(groups, return_counts=True)
    if len(names) < 2:
        return _parted(np.isin(np.arange(len(groups)), order[:count]), together=False)
    size_of = dict(zip(names.tolist(), sizes.tolist(), strict=True))
    chosen: list[int] = []
    left = count
    drawn = list(dict.fromkeys(groups[order].tolist()))
    for group in drawn:
        if size_of[group] <= left:
            chosen.append(group)
            left -= size_of[group]
    # The smallest of the others may come nearer to the count than all that fit below it.
    others = list(dict.fromkeys(drawn).keys() - set(chosen))
    if others:
        least = min(others, key=lambda group: (size_of[group], group))
        if len(others) > 1 and (not chosen or size_of[least] - left < left):
            chosen.append(least)
    return _parted(np.isin(groups, chosen), together=True)


def _parted(apart: NDArray[np.bool_], together: bool) -> Parted:
    return Parted(np.flatnonzero(apart), np.flatnonzero(~apart), together)


def _bands(count: int) -> Iterator[tuple[int, int]]:
    """`count` parts of 64 bits, as equal as can be: where each begins, and its width."""
    edges = [_BITS * k // count for k in range(count + 1)]
    yield from ((low, high - low) for low, high in pairwise(edges))


def _join_near(values: NDArray[np.uint64], members: NDArray[np.int64], near: int, parents: NDArray[np.int64]) -> None:
    """Join those members that differ in `near` bits at most, a block of rows at a time.

    Whoever is of one group already is not compared again, so that thousands of like pictures cost no square of theirs.
    """
    step = max(_PAIRS_AT_ONCE // max(len(members), 1), 1)
    while len(members) > 1:
        roots = _roots(parents)[members]
        members = members[np.argsort(roots, kind="stable")]
        roots.sort()
        if roots[0] == roots[-1]:
            return
        rows, last = members[:step], roots[:step][-1]
        columns = members[roots != last] if roots[0] == last else members
        rows_at, columns_at = np.nonzero(_distances(values[rows][:, None], values[columns][None]) <= near)
        _join(parents, rows[rows_at], columns[columns_at])
        members = members[step:]


def _distances(a: NDArray[np.uint64], b: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint8]:
    """In how many bits numbers differ."""
    differing = a ^ b
    if hasattr(np, "bitwise_count"):  # numpy 2
        return np.bitwise_count(differing)
    halves = differing[..., None].view(np.uint16)
    return _ONES[halves].sum(axis=-1, dtype=np.uint8)


def _join(parents: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64]) -> None:
    """Note that these are of one group, the lesser root above the greater: many pairs at once, until none is left."""
    while len(left):
        roots = _roots(parents)
        a, b = roots[left], roots[right]
        apart = a != b
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        np.minimum.at(parents, np.maximum(a, b), np.minimum(a, b))


def _roots(parents: NDArray[np.int64]) -> NDArray[np.int64]:
    """The root of each, by steps that double; `parents` is made to point there."""
    while not np.array_equal(above := parents[parents], parents):
        parents[:] = above
    return parents.copy()
