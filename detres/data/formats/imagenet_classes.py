"""ImageNet's 1000 classes of 2012 to 2017: synset, number in the challenge's devkit, and a short name.

Labels follow the synsets in ascending order, as every published network does. The devkit numbers the same classes
from 1 in an order of its own, in which the validation labels are written and the test server takes predictions.
Sources of imagenet_classes.txt (a line a class, ascending): synsets and devkit numbers as in the devkit's
map_clsloc.txt; the names are torchvision's, no two of which are alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Synset:
    """wnid: such as n01440764. devkit_id: ILSVRC2012_ID, from 1. name: such as tench."""

    wnid: str
    devkit_id: int
    name: str


@cache
def imagenet_synsets() -> tuple[Synset, ...]:
    """The 1000 classes, in the order of labels."""
    lines = (files("detres.data.formats") / "imagenet_classes.txt").read_text(encoding="utf-8").splitlines()
    fields = (line.split(" ", 2) for line in lines)
    return tuple(Synset(wnid, int(number), name) for wnid, number, name in fields)
