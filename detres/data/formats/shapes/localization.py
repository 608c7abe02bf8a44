"""The embedded localization set: one shape an image, anywhere on it, with its box; the same on every machine.

Written once, on first use, in ImageNet's layout: class folders of images, and a file an image in Annotations/CLS-LOC/.
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
from detres.data.formats.shapes.drawing import draw_localized
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.data.localization.localized import ANNOTATIONS
from detres.draws import Purpose, numpy_generator
from detres.errors import DataError
from detres.files.written_once import write_once

IMAGES_PER_CLASS = {"train": 120, "val": 12, "test": 20}
SHORTER_SIDE = 96

# Anything that changes a pixel or a box changes this, so that an older copy is never taken for the set.
VERSION = "shapes_localized 1"


def make_shapes_localized(root: Path) -> None:
    """Write the whole set to root, unless it is there. Raises DataError where root holds something else."""
    write_once(root, VERSION, _write_all)


def _write_all(root: Path) -> None:
    number = 0
    for split, count in IMAGES_PER_CLASS.items():
        for label, name in enumerate(SHAPES):
            pictures, annotations = root / split / name, root / ANNOTATIONS / split / name
            pictures.mkdir(parents=True)
            annotations.mkdir(parents=True)
            for _ in range(count):
                number += 1
                _write_image(pictures, annotations, number, label)


def _write_image(pictures: Path, annotations: Path, number: int, label: int) -> None:
    # A third number keeps the draws apart from those of the other sets of shapes.
    scene = draw_localized(numpy_generator(0, Purpose.DATA_SET, number, label, 1), label, SHORTER_SIDE)
    file = pictures / f"{number:06d}.png"
    if not cv2.imwrite(str(file), np.ascontiguousarray(scene.rgb[..., ::-1])):
        raise DataError(f"{file} could not be written; is the disk full?")
    # ImageNet counts pixels from 0, and VOC, whose form this is, from 1.
    objects = [VocObject(SHAPES[label], (x1 - 1, y1 - 1, x2 - 1, y2 - 1)) for x1, y1, x2, y2 in scene.boxes]
    write_annotation(annotations / f"{file.stem}.xml", file.name, scene.rgb.shape[:2], objects)


def load_shapes_localized(root: Path, split: str, *, classes: Sequence[str] | None = None) -> ClassifiedImages:
    """One split of the set below root, which is made where it is not there yet; its boxes lie beside it.

    Raises DataError where the split is unknown.
    """
    if split not in IMAGES_PER_CLASS:
        raise DataError(f"split {split}: the shapes set has {', '.join(IMAGES_PER_CLASS)}")
    make_shapes_localized(root)
    names = select_classes(classes, SHAPES, str(root))
    name = f"shapes_localized/{split}"
    return read_class_folders(root, split, names, name=name, class_names=names, chosen=bool(classes))
