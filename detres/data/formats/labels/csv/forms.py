"""What a row of a table is: an image, and perhaps one box of it. Each form of tables says how its rows are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from detres.data.detection.indexing import RawBox
from detres.data.formats.labels.drawn import label_name, quoted
from detres.data.values import finite_number

# What a class is called in a table that has none, as of sets of one kind of thing.
ONLY_CLASS = "object"
_NOTHING = ("", "nan", "none", "null", "na", "[]")


class Entry(NamedTuple):
    """A row. box: None for an image of nothing. size: (height, width) as stated. subset: the split it is of."""

    image: str
    box: RawBox | None
    size: tuple[int, int] | None = None
    subset: str | None = None


@dataclass(frozen=True)
class Form:
    """How rows are read.

    name: for people. read: the entry of a row, what is wrong with it, or None for a shape that is no box and told
    elsewhere. shares: whether boxes are shares of the image's sides. headers: how many first rows are none.
    subsets: whether rows say which split they are of. in_doubt: whether nothing says that the numbers are corners.
    """

    name: str
    read: Callable[[Sequence[str]], Entry | str]
    shares: bool = False
    headers: int = 0
    subsets: bool = False
    in_doubt: bool = False


class NoBox(str):
    """A kind of shape that has no box, in place of an entry."""


def is_nothing(cell: str) -> bool:
    return cell.lower() in _NOTHING


def number(cell: str) -> float | None:
    """A number as tables have it: a comma is a point where rows are separated otherwise."""
    return finite_number(cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell)


def label_of(cell: str) -> str | None:
    """A class; 3.0 is class 3, as pandas writes whole numbers beside empty cells."""
    return label_name(cell.removesuffix(".0") if cell.removesuffix(".0").isdigit() else cell)


def box_or_problem(label: str | None, cell: str, xyxy: Sequence[float | None], cells: Sequence[str]) -> RawBox | str:
    """The box of a row with these corners, or what is wrong with it. cell: what its class is written as."""
    if label is None:
        return f"its class {quoted(cell)} is no name"
    x1, y1, x2, y2 = xyxy
    if x1 is None or y1 is None or x2 is None or y2 is None:
        return f"its box {quoted(','.join(cells))} is not four finite numbers"
    return RawBox(label, (x1, y1, x2, y2))
