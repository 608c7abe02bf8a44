"""Weights of one set of classes become the start of another: rows of a last layer are matched by class name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Transferred:
    """source: the file. loaded: how many tensors were taken whole. matched, new, unused: names of classes."""

    source: str
    loaded: int
    matched: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    @classmethod
    def of_classes(cls, source: str, loaded: int, ours: Sequence[str], theirs: Sequence[str]) -> Transferred:
        return cls(
            source,
            loaded,
            tuple(name for name in ours if name in theirs),
            tuple(name for name in ours if name not in theirs),
            tuple(name for name in theirs if name not in ours),
        )

    def lines(self) -> list[str]:
        """A table of what became of each class, for people."""
        rows = (("from the file, by name", self.matched), ("start anew", self.new), ("only in the file", self.unused))
        return [
            f"weights {self.source}: {self.loaded} tensors taken",
            *(f"  classes {what}: {len(names)} {', '.join(names[:20])}" for what, names in rows if names),
        ]


def matching_rows(ours: Sequence[str], theirs: Sequence[str]) -> dict[int, int]:
    """Our row: theirs, of every class that both know."""
    place = {name: row for row, name in enumerate(theirs)}
    return {row: place[name] for row, name in enumerate(ours) if name in place}


def rows_by_class(mine: Tensor, other: Tensor, rows: Mapping[int, int], *, width: int = 1) -> Tensor:
    """mine, with groups of `width` rows taken from `other` where `rows` says so (mine: other's).

    Where the two take other features, `other` itself, which will be refused with all else that differs.
    """
    if mine.shape[1:] != other.shape[1:]:
        return other
    result = mine.clone()
    for to, source in rows.items():
        result[to * width : (to + 1) * width] = other[source * width : (source + 1) * width]
    return result
