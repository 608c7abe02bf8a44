"""Classes of which a set shows too little to learn them, told as remarks: nothing is wrong with the files.

K classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from detres.data.detection.annotations import AnnotatedImages

RARE = 10
"""Images. LVIS (Gupta et al. 2019, section 3) calls a class rare that no more of its training images show, and finds
that detectors learn such classes hardly at all."""
_NAMED = 8


def rare_in_training(learned: AnnotatedImages) -> Iterator[str]:
    """What to say of the classes that are in few of the images, and of those whose boxes are all in one."""
    images, boxes = _counts(learned)
    several = boxes > 1
    alone = np.flatnonzero((images == 1) & several)
    rare = np.flatnonzero((images > 0) & (images <= RARE))
    if len(rare):
        named = (f"{learned.class_names[label]} ({images[label]})" for label in _fewest_first(rare, images))
        mend = "" if len(rare) == np.count_nonzero(images) else ", or leave them out with data.classes=[…]"
        yield (
            f"{_classes(len(rare))} in {RARE} images or fewer, too few to be learned well: {_some(named, len(rare))}; "
            f"bring more images of them{mend}"
        )
    if len(alone):
        named = (f"{learned.class_names[label]} ({boxes[label]} boxes)" for label in alone.tolist())
        yield f"all boxes in one image, so that its looks are learned for the class's: {_some(named, len(alone))}"


def rare_but_measured(learned: AnnotatedImages, measured: AnnotatedImages) -> Iterator[str]:
    """What to say of the classes that are measured on more images than they are learned from, which are few."""
    images, _ = _counts(learned)
    known = {name: int(count) for name, count in zip(learned.class_names, images, strict=True)}
    there, _ = _counts(measured)
    found = [
        (name, known.get(name, 0), int(count))
        for name, count in zip(measured.class_names, there, strict=True)
        if 0 < known.get(name, 0) <= RARE and count > known[name]
    ]
    if found:
        named = (f"{name} ({few} to learn from, {many} here)" for name, few, many in found)
        yield f"{_classes(len(found))} in more images here than in {learned.name}: {_some(named, len(found))}"


def _counts(dataset: AnnotatedImages) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(K,) images that show each class, and (K,) its boxes; ignored boxes do not count."""
    counted = ~dataset.ignore
    classes = len(dataset.class_names)
    labels = dataset.labels[counted]
    pairs = np.unique(dataset.box_images()[counted] * max(classes, 1) + labels)
    return np.bincount(pairs % max(classes, 1), minlength=classes), np.bincount(labels, minlength=classes)


def _fewest_first(labels: NDArray[np.int64], images: NDArray[np.int64]) -> list[int]:
    return labels[np.argsort(images[labels], kind="stable")].tolist()


def _classes(count: int) -> str:
    return "1 class is" if count == 1 else f"{count} classes are"


def _some(named: Iterable[str], count: int) -> str:
    shown = [text for text, _ in zip(named, range(_NAMED), strict=False)]
    return ", ".join(shown) + (f" and {count - _NAMED} more" if count > _NAMED else "")
