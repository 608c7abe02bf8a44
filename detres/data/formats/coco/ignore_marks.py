"""What of a COCO annotation is to be ignored: one reader for training, for evaluation and for figures from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from detres.data.values import flag

IGNORE_KEYS = ("iscrowd", "difficult", "ignore")
_NONE = (None, 0)
IgnoredAs = Literal["nothing", "crowd", "difficult"]


def ignored_as(annotation: Mapping[str, Any]) -> IgnoredAs | None:
    """How an annotation is to be ignored; None where one of its marks is no flag.

    "iscrowd" makes it a crowd region. "difficult", as VOC's converters write it, and "ignore", as others do, make it
    an object that is neither to be found nor false when found, and say so of a crowd, too. pycocotools heeds iscrowd
    alone; our own files set it with the others.
    """
    crowd, difficult, ignore = annotation.get("iscrowd"), annotation.get("difficult"), annotation.get("ignore")
    # Nearly all have none, and there are a million.
    if crowd in _NONE and difficult in _NONE and ignore in _NONE:
        return "nothing"
    crowd, difficult, ignore = flag(crowd), flag(difficult), flag(ignore)
    if crowd is None or difficult is None or ignore is None:
        return None
    return "difficult" if difficult or ignore else "crowd" if crowd else "nothing"
