"""From a localization config's data section to images with boxes.

How a split is written, by format:
  imagenet    a folder of synset folders below the root, or a flat folder with labels beside it (formats/imagenet.py)
  shapes      train, val or test
Several splits are joined in order.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detres.config.localization_schema import LocalizationDataConfig
from detres.data.classification.classified import ClassifiedImages, joined
from detres.data.formats.format import find_format, find_root
from detres.data.localization.localized import LocalizedImages, with_boxes
from detres.data.places import SplitName, describe_missing_split
from detres.data.problems import HARMLESS
from detres.errors import DataError
from detres.tables import LOCALIZATION_FORMATS
from detres.words import number_of


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
    chosen = find_format(LOCALIZATION_FORMATS, data.format)
    root = find_root(LOCALIZATION_FORMATS, data, base)
    keys = {"train": data.train, "classes": data.classes}
    images = joined([chosen.read(root, name, keys, ClassifiedImages) for name in listed])
    if (images.labels < 0).any():
        raise DataError(f"{images.name}: its images have no labels, so no box of theirs is of a known class")
    localized = with_boxes(replace(images, max_pixels=data.max_pixels))
    bad = [problem for problem in localized.problems if problem.kind not in HARMLESS]
    if data.strict and bad:
        shown = "".join(f"\n  {problem}" for problem in bad[:20])
        raise DataError(f"{images.name}: {number_of(len(bad), 'problem')}, and data.strict=true accepts none:{shown}")
    return localized
