"""The words by which files and folders are known to be of a split, in one place for all who guess."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from detres.data.looking import Look
from detres.data.places import SplitName

_MOST_PARTS = 50

SPLIT_WORDS: Mapping[SplitName, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


def split_of(name: str) -> SplitName | None:
    """The split that a word of a name tells, train2017 and my_valid-images alike; None where none or several do."""
    words = set(re.findall(r"[a-z]+", name.lower()))
    if words & set(SPLIT_WORDS["test"]):
        words.discard("dev")  # test-dev is a part of COCO's test
    found = [split for split, known in SPLIT_WORDS.items() if words & set(known)]
    return found[0] if len(found) == 1 else None


def splits_among(names: Iterable[str]) -> dict[SplitName, str]:
    """Of folders or lists, the one of each split: whose name is the word itself, else the only one that has it."""
    names = sorted(names)
    found: dict[SplitName, str] = {}
    for split, words in SPLIT_WORDS.items():
        exact = [name for word in words for name in names if name.lower() == word]
        alike = [name for name in names if split_of(name) == split]
        if exact or len(alike) == 1:
            found[split] = (exact or alike)[0]
    return found


def parts_of(top: Look) -> tuple[str, ...]:
    """The folders of a set that is kept in several, such as one a day; none where a name tells a split, or there are
    hundreds."""
    several = 1 < len(top.folders) <= _MOST_PARTS
    return top.folders if several and not any(map(split_of, top.folders)) else ()
