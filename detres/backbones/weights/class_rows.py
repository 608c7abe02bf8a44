"""Weights of one set of classes become the start of another: rows of a last layer are matched by class name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from detres.data.class_synonyms import same_classes


@dataclass(frozen=True)
class Transferred:
    """source: the file. loaded: how many tensors were taken whole. matched, new, unused: names of classes.

    renamed: our name and the file's, where they differ.
    """

    source: str
    loaded: int
    matched: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    @classmethod
    def of_classes(cls, source: str, loaded: int, ours: Sequence[str], theirs: Sequence[str]) -> Transferred:
        same = same_classes(ours, theirs)
        return cls(
            source,
            loaded,
            matched=tuple(name for name in ours if same.get(name) == name),
            renamed=tuple((name, other) for name, other in same.items() if name != other),
            new=tuple(name for name in ours if name not in same),
            unused=tuple(name for name in theirs if name not in same.values()),
        )

    def lines(self) -> list[str]:
        """A table of what became of each class, for people."""
        rows = (
            ("from the file, by name", self.matched),
            ("from the file, by another name", tuple(f"{ours} ({theirs})" for ours, theirs in self.renamed)),
            ("start anew", self.new),
            ("only in the file", self.unused),
        )
        return [
            f"weights {self.source}: {self.loaded} tensors taken",
            *(f"  classes {what}: {len(names)} {', '.join(names[:20])}" for what, names in rows if names),
        ]


def matching_rows(ours: Sequence[str], theirs: Sequence[str]) -> dict[int, int]:
    """Our row: theirs, of every class that both know, under one name or as data/class_synonyms.py has it."""
    place = {name: row for row, name in enumerate(theirs)}
    same = same_classes(ours, theirs)
    return {row: place[same[name]] for row, name in enumerate(ours) if name in same}


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
