"""Top-1 and top-5 error of a set, collected image by image on any number of ranks, and what was taken for what.

I images, K classes, N images of a batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

ImageId = int | str

TOP = 5
CONFUSIONS = 20  # pairs that are listed

_ABSENT, _ADDED, _LEFT_OUT = range(3)


@dataclass(frozen=True)
class Ranking:
    """The best labels of one image, best first, and their probabilities; none for an image that was left out."""

    image_id: ImageId
    labels: tuple[int, ...]
    probabilities: tuple[float, ...]


class AccuracyEvaluator:
    """Errors over one set of images.

    class_names: K. image_ids: I, all different. labels: (I,), what each image shows; -1 where nobody says, as in a
    contest's test set: such images are ranked, but count in no figure.
    Raises ValueError where they do not fit each other.
    """

    def __init__(self, class_names: Sequence[str], image_ids: Sequence[ImageId], labels: ArrayLike) -> None:
        self.class_names = tuple(class_names)
        self._ids = list(image_ids)
        self._labels = np.asarray(labels, np.int64).reshape(-1)
        self._place = {image_id: place for place, image_id in enumerate(self._ids)}
        if not self.class_names:
            raise ValueError("there are no classes")
        if not len(self._place) == len(self._ids) == len(self._labels):
            raise ValueError(f"{len(self._labels)} labels, {len(self._ids)} ids, {len(self._place)} of them different")
        if len(self._labels) and not -1 <= self._labels.min() <= self._labels.max() < len(self.class_names):
            raise ValueError(f"labels {self._labels.min()} to {self._labels.max()} of {len(self.class_names)} classes")
        best = min(TOP, len(self.class_names))
        self._top = np.zeros((len(self._ids), best), np.int32)
        self._probabilities = np.zeros((len(self._ids), best), np.float32)
        self._state = np.full(len(self._ids), _ABSENT, np.uint8)

    def __len__(self) -> int:
        """How many images have been added or left out."""
        return int((self._state != _ABSENT).sum())

    def add(self, image_ids: Sequence[ImageId], probabilities: ArrayLike) -> None:
        """Keep the best labels of N images; an image added again replaces what it had.

        probabilities: (N, K). Among equal ones the lower label comes first.
        Raises ValueError for an image the set has not, and for probabilities that are not finite.
        """
        probabilities = np.asarray(probabilities, np.float32)
        places = self._places(image_ids)
        if probabilities.shape != (len(places), len(self.class_names)):
            raise ValueError(f"probabilities are {probabilities.shape}, not {(len(places), len(self.class_names))}")
        bad = np.flatnonzero(~np.isfinite(probabilities).all(axis=1))
        if len(bad):
            raise ValueError(f"probabilities of image {image_ids[bad[0]]!r} are not finite")
        self._top[places] = best_labels(probabilities, self._top.shape[1])
        self._probabilities[places] = np.take_along_axis(probabilities, self._top[places], axis=1)
        self._state[places] = _ADDED

    def leave_out(self, image_ids: Sequence[ImageId]) -> None:
        """These images could not be read; they count in no figure."""
        self._state[self._places(image_ids)] = _LEFT_OUT

    def left_out(self) -> list[ImageId]:
        """The images that were left out, in the order of image_ids."""
        return [self._ids[place] for place in np.flatnonzero(self._state == _LEFT_OUT)]

    def state(self) -> dict[str, NDArray]:
        """What this rank has seen: picklable, for `merge` on another."""
        places = np.flatnonzero(self._state != _ABSENT)
        parts: dict[str, NDArray] = {"state": self._state, "top": self._top, "probabilities": self._probabilities}
        return {"places": places} | {name: part[places] for name, part in parts.items()}

    def merge(self, state: dict[str, NDArray]) -> None:
        """Take in another rank's `state`; an image both have counts once."""
        places = state["places"]
        self._state[places], self._top[places] = state["state"], state["top"]
        self._probabilities[places] = state["probabilities"]

    def summarize(self) -> dict[str, Any]:
        """What metrics.json holds: errors as fractions, None where undefined.

        top5_error: among the min(5, K) best. images: how many the errors are over. per_class: the same for each class.
        confusions: the pairs that were taken for each other most often; `share` is of the images of `label`.
        Raises ValueError where an image was neither added nor left out: an error over a part of a set looks like that
        of the whole.
        """
        self._check_whole()
        counted = (self._state == _ADDED) & (self._labels >= 0)
        labels, top = self._labels[counted], self._top[counted]
        missed1 = top[:, 0] != labels
        missed5 = (top != labels[:, None]).all(axis=1)
        classes = len(self.class_names)
        counts, first, fifth = (np.bincount(labels[rows], minlength=classes) for rows in (..., missed1, missed5))
        per_class = {
            name: {"images": int(count), "top1_error": _share(one, count), "top5_error": _share(five, count)}
            for name, count, one, five in zip(self.class_names, counts, first, fifth, strict=True)
        }
        return {
            "top1_error": _share(missed1.sum(), len(labels)),
            "top5_error": _share(missed5.sum(), len(labels)),
            "images": len(labels),
            "per_class": per_class,
            "confusions": self._confusions(labels[missed1], top[missed1, 0], counts),
        }

    def rankings(self) -> Iterator[Ranking]:
        """The best labels of every image, in the order of image_ids."""
        self._check_whole()
        for place, image_id in enumerate(self._ids):
            if self._state[place] == _LEFT_OUT:
                yield Ranking(image_id, (), ())
            else:
                yield Ranking(image_id, tuple(self._top[place].tolist()), tuple(self._probabilities[place].tolist()))

    def _confusions(self, labels: NDArray, taken_for: NDArray, counts: NDArray) -> list[dict[str, Any]]:
        classes = len(self.class_names)
        pairs, times = np.unique(labels * classes + taken_for, return_counts=True)
        often = np.argsort(-times, kind="stable")[:CONFUSIONS]
        return [
            {
                "label": self.class_names[pairs[i] // classes],
                "taken_for": self.class_names[pairs[i] % classes],
                "count": int(times[i]),
                "share": _share(times[i], counts[pairs[i] // classes]),
            }
            for i in often
        ]

    def _places(self, image_ids: Sequence[ImageId]) -> NDArray[np.int64]:
        unknown = [image_id for image_id in image_ids if image_id not in self._place]
        if unknown:
            raise ValueError(f"image {unknown[0]!r} is not in the set")
        return np.array([self._place[image_id] for image_id in image_ids], np.int64)

    def _check_whole(self) -> None:
        absent = np.flatnonzero(self._state == _ABSENT)
        if len(absent):
            shown = ", ".join(repr(self._ids[place]) for place in absent[:5])
            raise ValueError(f"{len(absent)} of {len(self._ids)} images were neither added nor left out ({shown})")


def best_labels(probabilities: NDArray[np.floating], count: int) -> NDArray[np.int64]:
    """The labels of the `count` largest of each row, (N, count), largest first and the lower of equals first."""
    left, rows = np.array(probabilities), np.arange(len(probabilities))
    best = np.empty((len(left), count), np.int64)
    for place in range(count):
        best[:, place] = left.argmax(axis=1)  # the first of equals
        left[rows, best[:, place]] = -np.inf
    return best


def _share(part: int | np.integer, whole: int | np.integer) -> float | None:
    return float(part) / float(whole) if whole else None
