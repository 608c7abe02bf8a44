"""What is odd about the boxes and the images of a split, so that they can be looked for.

I images, T boxes, P problems. An oddity of boxes is one of the images that have such a box, too.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detres.data.detection.annotations import AnnotatedImages
from detres.evaluation.box_pairs import overlaps

OF_BOXES = {
    "smallest boxes": "the smallest hundredth of the split's boxes",
    "largest boxes": "the largest hundredth",
    "very thin": "boxes at least five times as long as wide",
    "at the border": "boxes that touch an edge of their image, within a pixel",
    "fills the image": "boxes that cover 95 % of their image, as those do that stand for a label without a place",
    "almost twice": "boxes of one image that overlap another by an IoU of 0.9, whatever their classes",
    "crowd": "boxes around many objects, which are ignored",
    "difficult": "boxes marked difficult, which are ignored",
}
OF_IMAGES = {
    "no boxes": "images without a box",
    "many boxes": "images with more boxes than 19 of 20 have, and ten or more",
    "box stands twice": "images with a box that stands there twice; one of the two is left out",
    "has a problem": "images of which check_data tells a problem",
    "near-duplicate": "images that look almost as another of their split",
    "as in another split": "images that look almost as one of another split",
    "cannot be read": "images that cannot be decoded",
}
ODDITIES = OF_BOXES | OF_IMAGES
_THIN, _TOUCHING, _FULL, _TWICE, _MANY = 5.0, 1.0, 0.95, 0.9, 10
_TOLD = 3


@dataclass(frozen=True, eq=False)
class Oddities:
    """boxes: (T,) bool by the names of OF_BOXES. images: (I,) how odd each is by the names of ODDITIES, 0 not at all.

    told: more about some images, in words.
    """

    boxes: Mapping[str, NDArray[np.bool_]]
    images: Mapping[str, NDArray[np.float64]]
    told: Mapping[int, tuple[str, ...]]


def find_oddities(
    dataset: AnnotatedImages,
    *,
    groups: NDArray[np.int64] | None = None,
    alike: Mapping[int, str] | None = None,
    unreadable: Mapping[int, str] | None = None,
) -> Oddities:
    """groups: (I,) of near-duplicates, as groups_among gives them. alike: for images one of another split that looks
    almost the same. unreadable: why images cannot be read, of those that were tried."""
    boxes = _of_boxes(dataset)
    owner = dataset.box_images()
    odd: dict[str, NDArray[np.float64]] = {
        name: np.bincount(owner[rows], minlength=len(dataset)).astype(np.float64) for name, rows in boxes.items()
    }
    counts = np.diff(dataset.offsets)
    odd["no boxes"] = (counts == 0).astype(np.float64)
    most = max(float(np.percentile(counts, 95)) if len(counts) else 0.0, _MANY - 1)
    odd["many boxes"] = np.where(counts > most, counts, 0).astype(np.float64)
    told: dict[int, list[str]] = defaultdict(list)
    odd |= _of_problems(dataset, told)
    odd["near-duplicate"] = np.zeros(len(dataset))
    if groups is not None and len(groups):
        sizes = np.bincount(groups, minlength=len(groups))[groups]
        odd["near-duplicate"] = np.where(sizes > 1, sizes, 0).astype(np.float64)
        for i in np.flatnonzero((sizes > 1) & (groups != np.arange(len(groups)))).tolist():
            told[i].append(f"looks almost as {dataset.file_name(int(groups[i]))}")
    for name, found in (("as in another split", alike or {}), ("cannot be read", unreadable or {})):
        odd[name] = np.zeros(len(dataset))
        odd[name][list(found)] = 1
        for i, why in found.items():
            told[i].append(why)
    return Oddities(boxes, odd, {i: tuple(lines[:_TOLD]) for i, lines in told.items()})


def _of_boxes(dataset: AnnotatedImages) -> dict[str, NDArray[np.bool_]]:
    owner = dataset.box_images()
    boxes = dataset.boxes.astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    edges = dataset.sizes[owner][:, ::-1]
    areas = sides.prod(axis=1)
    order, few = np.argsort(areas, kind="stable"), -(-len(areas) // 100)
    rank = np.empty(len(areas), dtype=np.int64)
    rank[order] = np.arange(len(areas))
    xywh = np.concatenate([boxes[:, :2], sides], axis=1)
    pairs = overlaps(owner, xywh, owner, xywh, min_iou=_TWICE)
    twice = np.zeros(len(boxes), dtype=bool)
    twice[pairs.detection[pairs.detection != pairs.object]] = True
    return {
        "smallest boxes": rank < few,
        "largest boxes": rank >= len(areas) - few,
        "very thin": sides.max(axis=1, initial=0) >= _THIN * sides.min(axis=1, initial=np.inf),
        "at the border": (boxes[:, :2] <= _TOUCHING).any(axis=1) | (boxes[:, 2:] >= edges - _TOUCHING).any(axis=1),
        "fills the image": areas >= _FULL * edges.prod(axis=1),
        "almost twice": twice,
        "crowd": dataset.crowd,
        "difficult": dataset.ignore & ~dataset.crowd,
    }


def _of_problems(dataset: AnnotatedImages, told: dict[int, list[str]]) -> dict[str, NDArray[np.float64]]:
    """By the problems' file names without folders and endings: a label file is called as its image is."""
    by_stem = {_stem(dataset.file_name(i)): i for i in range(len(dataset))} if dataset.problems else {}
    twice, other = np.zeros(len(dataset)), np.zeros(len(dataset))
    for problem in dataset.problems:
        i = by_stem.get(_stem(problem.file))
        if i is not None:
            other[i] += 1
            twice[i] += problem.kind == "box stands twice"
            told[i].append(f"{problem.kind}: {problem.detail}")
    return {"box stands twice": twice, "has a problem": other}


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0]
