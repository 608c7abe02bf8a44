"""Classified images and where the object lies: ImageNet's localization set, which has boxes for part of its images.

Boxes stand in Annotations/CLS-LOC/, below it a folder for the split, and there SYNSET/NAME.xml (as the training boxes
come) or NAME.xml (as the validation boxes come). The files are VOC's in form, but count pixels from 0, both ends
included, as the contest's own measure does. I images, T boxes of all images together, M of one.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detres.data.classification.classified import ClassifiedImages
from detres.data.formats.imagenet_classes import imagenet_synsets
from detres.data.formats.voc.xml import parse_annotation
from detres.data.packing import offsets_of
from detres.data.problems import Problem
from detres.errors import DataError

ANNOTATIONS = "Annotations/CLS-LOC"
# Kaggle's archive keeps its images below this folder.
_KAGGLE = "Data/CLS-LOC/"


@dataclass(frozen=True, eq=False)
class LocalizedImages:
    """Images of one class each, with the boxes of that class.

    images: I. offsets: (I + 1,) int64; image i's boxes are the rows offsets[i]:offsets[i + 1], one at least. boxes:
    (T, 4) float32, xyxy pixels of the file as it is stored, each with area. without_boxes: images that were left out.
    problems: what was found wrong with images and boxes; what is concerned is left out.
    """

    images: ClassifiedImages
    offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    without_boxes: int = 0
    problems: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    @property
    def name(self) -> str:
        return self.images.name

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.images.class_names

    @property
    def labels(self) -> NDArray[np.int64]:
        return self.images.labels

    def image_id(self, i: int) -> str:
        return self.images.image_id(i)

    def encoded(self, i: int) -> bytes:
        return self.images.encoded(i)

    def read(self, i: int) -> NDArray[np.uint8]:
        return self.images.read(i)

    def boxes_of(self, i: int) -> NDArray[np.float32]:
        """(M, 4), M at least 1."""
        return self.boxes[self.offsets[i] : self.offsets[i + 1]]

    def digest(self) -> str:
        """16 hex digits that change with any class, label, file name or box, and with nothing else."""
        state = hashlib.blake2b(self.images.digest().encode(), digest_size=8)
        state.update(self.offsets.tobytes())
        state.update(self.boxes.tobytes())
        return state.hexdigest()


def with_boxes(images: ClassifiedImages) -> LocalizedImages:
    """The images that have boxes of their own class, and these boxes; the others are counted.

    Raises DataError where there are no annotations, or none of the images has a box.
    """
    folder = images.root / ANNOTATIONS
    if not folder.is_dir():
        raise DataError(
            f"{images.name}: there is no {folder}, so the set has no boxes; those of image-net.org "
            "(ILSVRC2012_bbox_train_v2.tar.gz, ILSVRC2012_bbox_val_v3.tgz) belong there as train/SYNSET/*.xml and "
            "val/*.xml"
        )
    files = _annotation_files(images, folder)
    names = _names_of_classes(images.class_names)
    with ThreadPoolExecutor(4) as pool:
        read = pool.map(lambda i: _read_boxes(files[i], names[images.labels[i]]), files, chunksize=256)
        found = dict(zip(files, read, strict=True))
    kept = [i for i in files if len(found[i][0])]
    if not kept:
        raise DataError(
            f"{images.name}: none of its {len(images)} images has a box below {folder} ({len(files)} files there "
            "belong to them); check data.root, and that the boxes are of this split"
        )
    return LocalizedImages(
        images=replace(images.subset(kept), problems=images.problems),
        offsets=offsets_of(np.array([len(found[i][0]) for i in kept])),
        boxes=np.concatenate([found[i][0] for i in kept]),
        without_boxes=len(images) - len(kept),
        problems=(*images.problems, *(problem for _, problems in found.values() for problem in problems)),
    )


def _annotation_files(images: ClassifiedImages, folder: Path) -> dict[int, Path]:
    """The file of every image that has one; folders are listed once, since a million look-ups would take minutes."""
    listed: dict[str, frozenset[str]] = {}

    def holds(below: str, name: str) -> bool:
        if below not in listed:
            listed[below] = frozenset(_names_in(folder / below))
        return name in listed[below]

    files = {}
    for i in range(len(images)):
        below, _, name = images.image_id(i).removeprefix(_KAGGLE).rpartition("/")
        name = f"{name.rpartition('.')[0]}.xml"
        for place in (below, os.path.dirname(below)):
            if holds(place, name):
                files[i] = folder / place / name
                break
    return files


def _names_in(folder: Path) -> Iterable[str]:
    return os.listdir(folder) if folder.is_dir() else ()


def _names_of_classes(class_names: tuple[str, ...]) -> list[set[str]]:
    """What an annotation may call each class: its name, or its synset."""
    wnid_of = {synset.name: synset.wnid for synset in imagenet_synsets()}
    return [{name, wnid_of.get(name, name)} for name in class_names]


def _read_boxes(file: Path, names: set[str]) -> tuple[NDArray[np.float32], list[Problem]]:
    """(M, 4) boxes of one image, clipped to the size the file states, and what is wrong with the file."""
    try:
        annotation = parse_annotation(file, first_pixel=0)
    except DataError as error:
        problem = Problem("annotation malformed", str(file), f"{error}; left out", costs_image=True)
        return np.zeros((0, 4), np.float32), [problem]
    height, width = annotation.size if annotation.size and min(annotation.size) > 0 else (np.inf, np.inf)
    boxes, problems = [], [Problem("annotation malformed", str(file), slip) for slip in annotation.slips]
    for box in annotation.boxes:
        x1, y1, x2, y2 = box.xyxy
        clipped = max(x1, 0.0), max(y1, 0.0), min(x2, width), min(y2, height)
        if box.name not in names:
            problems.append(Problem("unknown class", str(file), f"a box of {box.name}, another class; left out"))
        elif not (clipped[2] > clipped[0] and clipped[3] > clipped[1]):
            problems.append(Problem("box without area", str(file), f"{clipped}; left out"))
        else:
            boxes.append(clipped)
    return np.array(boxes, np.float32).reshape(-1, 4), problems
