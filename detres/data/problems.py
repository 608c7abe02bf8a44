"""What is wrong with a data set, in words that commands print and tests count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from detres.errors import readable

ProblemKind = Literal[
    "image missing",
    "image unreadable",
    "size disagrees",
    "turned by EXIF",
    "annotation missing",
    "annotation malformed",
    "box without area",
    "box outside the image",
    "unknown class",
    "unknown image",
    "empty supercategory",
    "set without annotations",
    "image without class",
    "image repeated",
    "file not read",
    "name outside the set",
    "picture in doubt",
    "label of other meaning",
    "class named twice",
    "class names look alike",
    "boxes look like shares",
    "image id twice",
    "image name unusable",
    "category id twice",
    "category repeated",
    "box stands twice",
    "image breaks off",
    "written otherwise",
    "nothing to learn from",
    "nothing to measure",
    "near-duplicates parted",
    "pictures not named",
    "class not learned",
    "looks like a learned one",
]


# What is said, but costs nothing: strict accepts it.
HARMLESS: frozenset[ProblemKind] = frozenset(
    {
        *("empty supercategory", "set without annotations", "file not read", "written otherwise"),
        *("class names look alike", "pictures not named"),
    }
)


# Of an image that is not there to be looked at.
UNREADABLE: frozenset[ProblemKind] = frozenset({"image missing", "image unreadable"})


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data set, and what was done about it. file: relative to the set's root.

    costs_image: whether a whole image is left out for it.
    """

    kind: ProblemKind
    file: str
    detail: str
    costs_image: bool = False

    @property
    def shown(self) -> str:
        """The file, and what is wrong with it, for people; a name with a line break is one line."""
        name = self.file.replace("\n", "\\n")
        return readable(f"{name}: {self.detail}")

    def __str__(self) -> str:
        return f"{self.kind}: {self.shown}"
