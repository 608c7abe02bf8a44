"""From a config's data section to annotated images.

How a split is written, by format:
  coco    annotations/instances_train2017.json, or train.json:FOLDER where the images are not found by themselves
  voc     YEAR/LIST such as 2007/trainval, or LIST where the root itself holds Annotations/ and ImageSets/
  yolo    a folder of images, or a text file that lists them
  csv, cvat, labelstudio, createml, openimages  a label file, or FILE:FOLDER where the images lie elsewhere; FILE#SUBSET
          where a table or CVAT's XML says itself what is which (boxes.csv#train)
  labelme  a folder of JSON files, "." the root itself
  darknet  a list of images, such as train.txt
  imagenet_det  a list of ImageSets/DET such as val, or one of one's own; train, or train:1000 for fewer of a class
  shapes  train, val or test
What a split is called in another format, its own file says (tables.py lists them).
Several splits are joined in order (2007/trainval and 2012/trainval are the field's 07+12).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from detres.config.detection_schema import DataConfig
from detres.data.detection.annotations import AnnotatedImages, concatenate
from detres.data.detection.indexing import listed
from detres.data.detection.near_duplicates import groups_among, part
from detres.data.formats.format import find_format, find_root
from detres.data.places import SplitName, describe_missing_split
from detres.data.problems import Problem, ProblemKind
from detres.draws import Purpose, numpy_generator
from detres.errors import DataError
from detres.tables import DETECTION_FORMATS

# What costs boxes of images that are there.
_OF_BOXES: frozenset[ProblemKind] = frozenset(
    {
        *("annotation malformed", "label of other meaning", "box without area", "box outside the image"),
        *("unknown class", "unknown image", "image id twice", "category id twice"),
    }
)


def load_dataset(data: DataConfig, split: SplitName, *, base: Path | None = None) -> AnnotatedImages:
    """The annotated images of one split, checked.

    base: the folder that a relative root is looked for in first. Where there is no val, val_fraction of the training
    images are val and the rest are train; which ones depends on their number alone, or, with
    data.val_groups, on how they look.
    data.difficult is a matter of training: AnnotatedImages.with_difficult.
    Raises DataError where the root, the split or a file is missing, with data.strict where anything is wrong, and for
    train where nothing is left to learn from.
    """
    dataset = load_split(data, split, base=base)
    nothing = nothing_to_learn(dataset, data) if split == "train" else None
    if nothing is not None:
        raise DataError(f"{dataset.name}: {nothing}; check data.train" + listed(dataset.problems))
    return dataset


def load_split(data: DataConfig, split: SplitName, *, base: Path | None = None) -> AnnotatedImages:
    """load_dataset for those who only look at a set: a train that teaches nothing is as good as any."""
    if split == "val" and not data.val and data.val_fraction:
        return _set_apart(load_listed(data, data.train, base), data, chosen=True)
    named = {"train": data.train, "val": data.val, "test": data.test}[split]
    if not named:
        raise DataError(describe_missing_split(data, split))
    dataset = load_listed(data, named, base)
    if split == "train" and not data.val and data.val_fraction:
        return _set_apart(dataset, data, chosen=False)
    return dataset


def nothing_to_learn(dataset: AnnotatedImages, data: DataConfig) -> str | None:
    """Why a detector would learn nothing from these images, with the key that may mend it; None where it would."""
    images, boxes = len(dataset), len(dataset.boxes)
    if not boxes:
        return f"none of its {images} images has a box to learn from"
    if dataset.ignore.all() and data.difficult != "positive":
        crowd = int(dataset.crowd.sum())
        return (
            f"none of its {images} images has a box to learn from: all {boxes} boxes are to be ignored ({crowd} crowd, "
            f"{boxes - crowd} difficult), as some converters mark every box; data.difficult=positive learns from them"
        )
    return None


def nothing_to_measure(dataset: AnnotatedImages) -> Problem | None:
    """Why every figure of a set that is annotated would be undefined; None where one can be measured.

    A set of which nothing is annotated, such as test-dev's, is none of these: a server measures on it.
    """
    boxes = len(dataset.boxes)
    if boxes and dataset.ignore.all():
        crowd = int(dataset.crowd.sum())
        detail = (
            f"all {boxes} boxes are to be ignored ({crowd} crowd, {boxes - crowd} difficult), as some converters mark "
            "every box, so that no figure is defined"
        )
        return Problem("nothing to measure", dataset.name, detail)
    lost = [problem for problem in dataset.problems if problem.kind in _OF_BOXES]
    if boxes or not lost:
        return None
    detail = f"things are annotated, and none of them can be used, so there is nothing to measure:{listed(lost)}"
    return Problem("nothing to measure", dataset.name, detail)


def load_listed(data: DataConfig, splits: tuple[str, ...], base: Path | None = None) -> AnnotatedImages:
    """The images of several splits, joined."""
    root, chosen = find_root(DETECTION_FORMATS, data, base), find_format(DETECTION_FORMATS, data.format)
    keys = data.model_dump(include={"classes", "exif", "max_pixels", "strict"})
    keys["sibling_splits"] = (*data.train, *data.val, *data.test)
    return concatenate([chosen.read(root, name, keys, AnnotatedImages) for name in splits])


def _set_apart(dataset: AnnotatedImages, data: DataConfig, *, chosen: bool) -> AnnotatedImages:
    """One side of the images that are set apart. Which these are, their number and their pictures decide."""
    fraction = data.val_fraction
    if len(dataset) < 2:
        raise DataError(
            f"{dataset.name}: data.val_fraction={fraction:g} of {len(dataset)} image leaves none to train on; bring "
            "more, or learn without measuring, with data.val_fraction=0"
        )
    order = numpy_generator(0, Purpose.DATA_SET, len(dataset)).permutation(len(dataset))
    count = min(max(round(fraction * len(dataset)), 1), len(dataset) - 1)
    if data.val_groups == "none":
        return dataset.subset(np.sort(order[:count] if chosen else order[count:]))
    parted = part(groups_among(dataset), count, order)
    side = dataset.subset(parted.apart if chosen else parted.rest)
    if parted.together or not chosen:
        return side
    detail = (
        f"all {len(dataset)} images look almost the same, so that {count} of them are set apart one by one; what is "
        "measured on them is hardly more than what was learned"
    )
    return replace(side, problems=(*side.problems, Problem("near-duplicates parted", dataset.name, detail)))
