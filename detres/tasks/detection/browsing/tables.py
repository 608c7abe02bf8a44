"""What a set holds, as tables: its splits, classes, sizes and oddities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from detres.data.detection.annotations import AnnotatedImages
from detres.errors import readable
from detres.report.html_tables import Bar, Cell, html_table
from detres.tasks.detection.browsing.oddities import ODDITIES, Oddities


@dataclass(frozen=True, eq=False)
class Split:
    """A split of the set, and what is odd about it."""

    name: str
    images: AnnotatedImages
    oddities: Oddities


def split_table(splits: Sequence[Split]) -> str:
    rows: list[tuple[Cell, ...]] = [
        (
            each.name,
            readable(each.images.name),
            len(each.images),
            len(each.images.boxes),
            int(each.images.ignore.sum()),
            int((np.diff(each.images.offsets) == 0).sum()),
            int(np.diff(each.images.offsets).max(initial=0)),
        )
        for each in splits
    ]
    return html_table(("split", "set", "images", "boxes", "to be ignored", "images without boxes", "most boxes"), rows)


def class_table(splits: Sequence[Split], classes: Sequence[str]) -> str:
    counts = [_boxes_of_classes(split.images) for split in splits]
    sums = {name: sum(count.get(name, 0) for count in counts) for name in classes}
    most = max(sums.values(), default=0) or 1
    ordered = sorted(classes, key=lambda name: -sums[name])
    rows: list[tuple[Cell, ...]] = [
        (readable(name), Bar(sums[name] / most), *(count.get(name, 0) for count in counts)) for name in ordered
    ]
    return html_table(("class", "", *(split.name for split in splits)), rows)


def _boxes_of_classes(images: AnnotatedImages) -> dict[str, int]:
    counts = np.bincount(images.labels[~images.ignore], minlength=len(images.class_names)).tolist()
    return dict(zip(images.class_names, counts, strict=True))


def size_table(splits: Sequence[Split]) -> str:
    edges = [0, 8, 16, 32, 64, 96, 128, 256, 512]
    sides = [np.sqrt(split.images.areas) for split in splits]
    counts = [np.histogram(each, [*edges, np.inf])[0].tolist() for each in sides]
    sums = [sum(column) for column in zip(*counts, strict=True)]
    words = [f"{low} to {high}" for low, high in pairwise(edges)] + [f"{edges[-1]} and more"]
    most = max(sums) or 1
    rows: list[tuple[Cell, ...]] = [
        (word, Bar(sums[n] / most), *(count[n] for count in counts)) for n, word in enumerate(words)
    ]
    return html_table(("side", "", *(split.name for split in splits)), rows)


def oddity_table(splits: Sequence[Split]) -> str:
    rows: list[tuple[Cell, ...]] = [
        (name, *(int((split.oddities.images[name] > 0).sum()) for split in splits), what)
        for name, what in ODDITIES.items()
    ]
    return html_table(("oddity", *(f"images of {split.name}" for split in splits), "what it is"), rows)
