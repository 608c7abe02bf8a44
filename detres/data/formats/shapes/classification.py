"""The embedded classification set: one textured shape an image, the same on every machine.

Written once, on first use, as folders of class folders. Its shapes, colours and grounds are those of the detection set
(detection.py), so that a network trained on it has seen what is to be found there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from detres.data.classes import select_classes
from detres.data.classification.classified import ClassifiedImages
from detres.data.formats.class_folders import read_class_folders
from detres.data.formats.shapes import SHAPES
from detres.data.formats.shapes.drawing import draw_single
from detres.draws import Purpose, numpy_generator
from detres.errors import DataError
from detres.files.written_once import write_once

IMAGES_PER_CLASS = {"train": 300, "val": 20, "test": 40}
SIDE = 64

# Anything that changes a pixel changes this, so that an older copy is never taken for the set.
VERSION = "shapes_classes 2"


def load_shapes_classes(root: Path, split: str, *, classes: Sequence[str] | None = None) -> ClassifiedImages:
    """One split of the set below root, which is made where it is not there yet.

    Raises DataError where the split is unknown, or root holds something else or another version of the set.
    """
    if split not in IMAGES_PER_CLASS:
        raise DataError(f"split {split}: the shapes set has {', '.join(IMAGES_PER_CLASS)}")
    make_shapes_classes(root)
    names = select_classes(classes, SHAPES, str(root))
    return read_class_folders(
        root, split, names, name=f"shapes_classes/{split}", class_names=names, chosen=bool(classes)
    )


def make_shapes_classes(root: Path) -> None:
    """Write the whole set to root, unless it is there."""
    write_once(root, VERSION, _write_all)


def _write_all(root: Path) -> None:
    number = 0
    for split, count in IMAGES_PER_CLASS.items():
        for label, name in enumerate(SHAPES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for _ in range(count):
                number += 1
                # The set's own numbers, beyond those of the detection set's scenes.
                rgb = draw_single(numpy_generator(0, Purpose.DATA_SET, number, label), label, SIDE)
                file = folder / f"{number:06d}.png"
                if not cv2.imwrite(str(file), np.ascontiguousarray(rgb[..., ::-1])):
                    raise DataError(f"{file} could not be written; is the disk full?")
