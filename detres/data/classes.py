"""Which classes a set has, and which of them are wanted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from detres.errors import DataError
from detres.lookup import nearest

COCO_CLASSES = tuple(
    """person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
    parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella,
    handbag, tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard,
    surfboard, tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange,
    broccoli, carrot, hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop,
    mouse, remote, keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors,
    teddy bear, hair drier, toothbrush""".replace("\n   ", "").split(", ")
)

VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")

# Of annotations that are there: a set of nothing but images of nothing.
NO_CLASS = (
    "no annotation there names a class, so that there is nothing to find; draw boxes on some of its images, or name "
    "the label file or folder that has them"
)

# Characters that take no room: joiners, marks of direction, soft hyphens.
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")


def class_name(text: str) -> str:
    """A name as sets are to have it: without spaces around it, and each letter with its accents as one character."""
    return text.strip() if text.isascii() else unicodedata.normalize("NFC", text).strip()


def look_alikes(names: Sequence[str]) -> list[list[str]]:
    """The names that differ by nothing but capitals, spaces, width or what is not seen, each group of them."""
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        plain = unicodedata.normalize("NFKC", _UNSEEN.sub("", name))
        groups.setdefault(" ".join(plain.split()).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def select_classes(wanted: Sequence[str] | None, known: Sequence[str], where: str) -> tuple[str, ...]:
    """The wanted names in their order, or all known ones.

    Raises DataError that lists every wanted name which is not known, with the nearest that is, or stands twice.
    """
    if wanted is None:
        return tuple(dict.fromkeys(known))
    wanted = [name if name in known else class_name(name) for name in wanted]
    problems = [f"{name} stands twice" for name in dict.fromkeys(wanted) if list(wanted).count(name) > 1]
    for name in dict.fromkeys(wanted):
        if name not in known:
            close = nearest(name, known, 1)
            mend = f"did you mean {close[0]}?" if close else f"the set has {', '.join(known) or 'none'}"
            problems.append(f"{name} is no class of this set; {mend}")
    if problems:
        raise DataError(f"{where}: data.classes: " + "; ".join(problems))
    return tuple(wanted)
