"""Localization errors of a set, collected image by image on any number of ranks.

An image is right if the class is right and its box overlaps one of the image's boxes of that class by more than 0.5.
Two errors are measured: with the true class given, and one box of it; and with up to five (class, box) pairs, one of
which must be right (the contest's). Source: Russakovsky et al. 2015, section 4.2; He et al. 2015, appendix C.
I images, S pairs of an image, best first, M boxes of an image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from detres.boxes import box_iou

ImageId = int | str

TOP = 5
LEAST_IOU = 0.5  # an overlap of exactly so much is none


@dataclass(frozen=True)
class Located:
    """What was found on one image.

    true_box: (4,), of the true class. labels, boxes: (S,) and (S, 4), the pairs of a classifier's best classes, best
    first; None where there is no classifier. Boxes are xyxy pixels of the file.
    """

    true_box: ArrayLike
    labels: ArrayLike | None = None
    boxes: ArrayLike | None = None


class LocalizationEvaluator:
    """Errors over one set of images.

    class_names: K. image_ids: I, all different. labels: (I,), what each image shows. boxes: I arrays (M, 4), M >= 1,
    all of that class. Raises ValueError where they do not fit each other.
    """

    def __init__(
        self,
        class_names: Sequence[str],
        image_ids: Sequence[ImageId],
        labels: ArrayLike,
        boxes: Sequence[ArrayLike],
    ) -> None:
        self.class_names = tuple(class_names)
        self._labels = np.asarray(labels, np.int64).reshape(-1)
        self._boxes = [np.asarray(rows, np.float64).reshape(-1, 4) for rows in boxes]
        self._places = {image_id: place for place, image_id in enumerate(image_ids)}
        if not len(self._places) == len(image_ids) == len(self._labels) == len(self._boxes):
            raise ValueError(f"{len(image_ids)} ids, {len(self._labels)} labels, {len(self._boxes)} lists of boxes")
        if any(len(rows) == 0 for rows in self._boxes):
            raise ValueError("an image has no box, so that no answer could be right")
        self._found: dict[ImageId, dict[str, bool] | None] = {}

    def __len__(self) -> int:
        """How many images have been added or left out."""
        return len(self._found)

    def add(self, image_id: ImageId, located: Located) -> None:
        """Judge one image; added again, it replaces what it had. Raises ValueError for one that the set has not."""
        place = self._place(image_id)
        label, truth = int(self._labels[place]), self._boxes[place]
        judged = {"true_class": bool(overlaps(located.true_box, truth)[0])}
        if located.labels is not None and located.boxes is not None:
            named = np.asarray(located.labels, np.int64)[:TOP] == label
            right = named & overlaps(located.boxes, truth)[:TOP]
            judged |= {"top1": bool(right[:1].any()), "top5": bool(right.any()), "class": bool(named.any())}
        self._found[image_id] = judged

    def leave_out(self, image_ids: Sequence[ImageId]) -> None:
        """These images could not be read; they count in no figure."""
        self._found |= {image_id: None for image_id in image_ids if self._place(image_id) >= 0}

    def left_out(self) -> list[ImageId]:
        return [image_id for image_id in self._places if self._found.get(image_id, {}) is None]

    def state(self) -> dict[ImageId, dict[str, bool] | None]:
        """What this rank has seen: picklable, for `merge` on another."""
        return dict(self._found)

    def merge(self, state: dict[ImageId, dict[str, bool] | None]) -> None:
        """Take in another rank's `state`; an image both have counts once."""
        self._found |= state

    def summarize(self) -> dict[str, Any]:
        """What metrics.json holds: errors as fractions, None where undefined.

        true_class_error: given the true class. top1_error, top5_error: of (class, box) pairs; None without a
        classifier. class_top5_error: the share of it that is the classifier's. per_class: true_class_error of each.
        Raises ValueError where an image was neither added nor left out.
        """
        absent = [image_id for image_id in self._places if image_id not in self._found]
        if absent:
            raise ValueError(
                f"{len(absent)} of {len(self._places)} images were neither added nor left out ({absent[0]!r})"
            )
        judged = [found for image_id in self._places if (found := self._found[image_id]) is not None]
        return {
            "true_class_error": _error(judged, "true_class"),
            "top1_error": _error(judged, "top1"),
            "top5_error": _error(judged, "top5"),
            "class_top5_error": _error(judged, "class"),
            "images": len(judged),
            "per_class": self._per_class(),
        }

    def _per_class(self) -> dict[str, dict[str, Any]]:
        of_class: list[list[dict[str, bool]]] = [[] for _ in self.class_names]
        for image_id, place in self._places.items():
            if (found := self._found[image_id]) is not None:
                of_class[self._labels[place]].append(found)
        return {
            name: {"images": len(rows), "true_class_error": _error(rows, "true_class")}
            for name, rows in zip(self.class_names, of_class, strict=True)
        }

    def _place(self, image_id: ImageId) -> int:
        if image_id not in self._places:
            raise ValueError(f"image {image_id!r} is not in the set")
        return self._places[image_id]


def overlaps(boxes: ArrayLike, truth: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of (S, 4) boxes overlap one of (M, 4) boxes by an IoU over 0.5: (S,)."""
    rows = torch.from_numpy(np.asarray(boxes, np.float64).reshape(-1, 4))
    return (box_iou(rows, torch.from_numpy(truth)) > LEAST_IOU).any(dim=1).numpy()


def _error(judged: Sequence[dict[str, bool]], what: str) -> float | None:
    known = [not found[what] for found in judged if what in found]
    return sum(known) / len(known) if known else None
