"""From a localization config's data section to images with boxes.

How a split is written, by format:
  imagenet    a folder of synset folders below the root, or a flat folder with labels beside it (imagenet.py)
  shapes      train, val or test
Several splits are joined in order.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detres.config.localization_schema import LocalizationDataConfig
from detres.data.annotations import HARMLESS
from detres.data.class_folders import read_class_folders
from detres.data.classes import select_classes
from detres.data.classified import ClassifiedImages, joined
from detres.data.datasets import SplitName, describe_missing_split, find_made_set, find_set
from detres.data.imagenet import GET_IMAGENET, load_imagenet
from detres.data.localized import LocalizedImages, with_boxes
from detres.data.shape_drawing import SHAPES
from detres.data.shapes_localized import IMAGES_PER_CLASS, make_shapes_localized
from detres.errors import DataError


def load_localized(data: LocalizationDataConfig, split: SplitName, *, base: Path | None = None) -> LocalizedImages:
    """The images of one split that have boxes.

    base: the folder that a relative root is looked for in first.
    Raises DataError where the root, the split, its labels or its boxes are missing, and with data.strict where anything
    is wrong.
    """
    listed = {"train": data.train, "val": data.val, "test": data.test}[split]
    if not listed:
        raise DataError(describe_missing_split(data, split))
    if len(set(listed)) < len(listed):
        raise DataError(f"data.{split}: {', '.join(listed)}: a split stands twice")
    if data.format == "shapes":
        root = find_made_set(data.root, "shapes_localized", base)
        images = joined([_load_shapes(root, name, data) for name in listed])
    else:
        root = find_set(data.root or data.format, data.format, base, mend=GET_IMAGENET)
        images = joined([_load_imagenet(root, name, data) for name in listed])
    if (images.labels < 0).any():
        raise DataError(f"{images.name}: its images have no labels, so no box of theirs is of a known class")
    localized = with_boxes(replace(images, max_pixels=data.max_pixels))
    bad = [problem for problem in localized.problems if problem.kind not in HARMLESS]
    if data.strict and bad:
        shown = "".join(f"\n  {problem}" for problem in bad[:20])
        raise DataError(f"{images.name}: {len(bad)} problems, and data.strict=true accepts none:{shown}")
    return localized


def _load_imagenet(root: Path, split: str, data: LocalizationDataConfig) -> ClassifiedImages:
    # Not turned as EXIF says: the boxes were drawn on the pixels as they are stored.
    return load_imagenet(root, split, train=data.train, classes=data.classes, exif=False)


def _load_shapes(root: Path, split: str, data: LocalizationDataConfig) -> ClassifiedImages:
    if split not in IMAGES_PER_CLASS:
        raise DataError(f"split {split}: the shapes set has {', '.join(IMAGES_PER_CLASS)}")
    make_shapes_localized(root)
    names = select_classes(data.classes, SHAPES, str(root))
    name = f"shapes_localized/{split}"
    return read_class_folders(root, split, names, name=name, class_names=names, chosen=bool(data.classes))
