"""What a recipe has to know of a set: how many pictures, how large they and their boxes are."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from detres.data.detection.annotations import AnnotatedImages

_SIDED = re.compile(r"(?i)(?:^|[^a-z])(left|right)(?:$|[^a-z])")


@dataclass(frozen=True)
class Facts:
    """images: to learn from. shorter, longer: the middle shorter and longer side of the pictures, in pixels.

    small, middle: the side of a square of as much area as a box, of the smallest tenth and of the middle one; None
    where there are no boxes. most_boxes: of one picture. sided: a class that a mirror would make another; None: none.
    """

    name: str
    images: int
    boxes: int
    classes: int
    shorter: int
    longer: int
    small: float | None
    middle: float | None
    most_boxes: int
    sided: str | None

    @classmethod
    def of(cls, images: AnnotatedImages) -> Facts:
        """Boxes that are to be ignored are not looked for, and do not count. At least one image."""
        sizes = images.sizes
        boxes = images.boxes[~images.ignore]
        sides = np.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
        return cls(
            name=images.name,
            images=len(images),
            boxes=len(boxes),
            classes=len(images.class_names),
            shorter=int(np.median(sizes.min(axis=1))),
            longer=int(np.median(sizes.max(axis=1))),
            small=float(np.percentile(sides, 10)) if len(sides) else None,
            middle=float(np.median(sides)) if len(sides) else None,
            most_boxes=int(np.diff(images.offsets).max(initial=0)),
            sided=next((name for name in images.class_names if _SIDED.search(name.replace("_", " "))), None),
        )
