"""All that is wrong with a classification set, and what it holds.

I images, K classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detres.config.classification_schema import ClassificationDataConfig
from detres.data.classification.classified import ClassifiedImages
from detres.data.classification.datasets import load_classified
from detres.data.detection.unusable_splits import UnusableSplit, refuse_useless
from detres.data.places import SplitName
from detres.data.problems import Problem
from detres.errors import DataError

# Images in work at a time: a set's results are small, its pixels are not.
_AT_ONCE = 4096


@dataclass(frozen=True)
class ClassificationReport:
    """What one split holds. image_sizes: (height, width) of the smallest and the largest; unlabelled: images of which
    nobody says what they show. repeated: images whose bytes stand in this split, or an earlier one, already.
    """

    split: str
    name: str
    images: int
    images_per_class: dict[str, int]
    unlabelled: int
    image_sizes: tuple[tuple[int, int], tuple[int, int]]
    repeated: int
    problems: tuple[Problem, ...]


def check_classified(
    data: ClassificationDataConfig, *, base: Path | None = None
) -> list[ClassificationReport | UnusableSplit]:
    """A report of every split the config names, in the order train, val, test; every image is read to its last byte.

    A split that is missing or contradicts itself is an UnusableSplit in its place.
    Raises DataError where that holds of every split, or none is named; data.strict is not heeded.
    """
    lenient = data.model_copy(update={"strict": False})
    first_with: dict[int, tuple[ClassifiedImages, int]] = {}
    reports: list[ClassificationReport | UnusableSplit] = []
    for split in _named_splits(data):
        try:
            images = load_classified(lenient, split, base=base)
        except DataError as error:
            reports.append(UnusableSplit(split, str(error)))
        else:
            reports.append(_report(images, split, first_with))
    refuse_useless(reports)
    return reports


def _named_splits(data: ClassificationDataConfig) -> list[SplitName]:
    splits: list[SplitName] = ["train"] if data.train else []
    if data.val or (data.train and data.val_fraction):
        splits.append("val")
    return [*splits, "test"] if data.test else splits


def _report(
    images: ClassifiedImages, split: SplitName, first_with: dict[int, tuple[ClassifiedImages, int]]
) -> ClassificationReport:
    """first_with: the first image of each content seen so far, by its digest; this split's are added."""
    found, repeated = list(images.problems), 0
    smallest: tuple[int, int] | None = None
    largest = (0, 0)
    for i, (size, digest) in enumerate(_looks(images)):
        if size is None:
            found.append(Problem("image unreadable", images.image_id(i), "it is no image, breaks off or is damaged"))
            continue
        smallest = min(smallest or size, size, key=np.prod)
        largest = max(largest, size, key=np.prod)
        owner, place = first_with.setdefault(digest, (images, i))
        if (owner, place) != (images, i):
            repeated += 1
            other = f"the same bytes as {owner.image_id(place)} of {owner.name}"
            found.append(Problem("image repeated", images.image_id(i), other))
    return ClassificationReport(
        split=split,
        name=images.name,
        images=len(images),
        images_per_class=dict(zip(images.class_names, images.counts().tolist(), strict=True)),
        unlabelled=int((images.labels < 0).sum()),
        image_sizes=(smallest or (0, 0), largest),
        repeated=repeated,
        problems=tuple(found),
    )


def _looks(images: ClassifiedImages) -> Iterable[tuple[tuple[int, int] | None, int]]:
    """Of each image its size, None where it cannot be decoded, and a digest of its bytes."""

    def look(i: int) -> tuple[tuple[int, int] | None, int]:
        try:
            rgb = images.read(i)
            content = rgb.tobytes() if images.pixels is not None else images.encoded(i)
        except DataError:
            return None, 0
        digest = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
        return (rgb.shape[0], rgb.shape[1]), digest

    with ThreadPoolExecutor() as pool:  # decoding happens outside Python's lock
        for start in range(0, len(images), _AT_ONCE):
            yield from pool.map(look, range(start, min(start + _AT_ONCE, len(images))))
