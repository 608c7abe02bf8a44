"""Which images of a set are shown where not all are: some of every class, some of every oddity, and some of the rest.

I images, T boxes of a split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from detres.data.detection.annotations import AnnotatedImages
from detres.tasks.detection.browsing.oddities import ODDITIES, Oddities

Place = tuple[int, int]
"""Of an image: its split's number, and its own."""


def choose_images(splits: Sequence[tuple[AnnotatedImages, Oddities]], limit: int) -> list[Place]:
    """At most `limit` images, in the order of the splits and of their images; the same ones every time.

    Every oddity, class and split is asked in turns for its next: the oddest, one spread over the class, or the split.
    """
    queues = [iter(queue) for queue in _queues(splits)]
    chosen: dict[Place, None] = {}
    while queues and len(chosen) < limit:
        left = []
        for queue in queues:
            place = next((place for place in queue if place not in chosen), None)
            if place is None:
                continue
            chosen[place] = None
            left.append(queue)
            if len(chosen) == limit:
                break
        queues = left
    return sorted(chosen)


def _queues(splits: Sequence[tuple[AnnotatedImages, Oddities]]) -> Iterator[list[Place]]:
    for name in ODDITIES:
        for number, (_, odd) in enumerate(splits):
            degree = odd.images[name]
            yield [(number, i) for i in np.argsort(-degree, kind="stable").tolist() if degree[i] > 0]
    for number, (images, _) in enumerate(splits):
        yield [(number, i) for i in _spread(len(images))]
    for number, (images, _) in enumerate(splits):
        owner = images.box_images()
        for label in np.argsort(np.bincount(images.labels, minlength=len(images.class_names)), kind="stable").tolist():
            showing = np.unique(owner[images.labels == label])
            yield [(number, int(showing[k])) for k in _spread(len(showing))]


def _spread(count: int) -> list[int]:
    """0 to count - 1, so that the first few lie far from each other whatever their number."""
    if not count:
        return []
    bits = max(count - 1, 1).bit_length()
    turned = (int(format(k, f"0{bits}b")[::-1], 2) for k in range(1 << bits))
    return [k for k in turned if k < count]
