"""The embedded set: overlapping coloured shapes on textured grounds, drawn here, the same on every machine.

Written once, on first use, in VOC's layout and as COCO's JSON, and read as COCO. What a shape is decides its class;
its colour is a hint that is wrong in a third of the cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.coco.reading import load_coco, write_instances
from detres.data.formats.shapes import SHAPES
from detres.data.formats.shapes.drawing import Scene, draw_scene
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.draws import Purpose, numpy_generator
from detres.errors import DataError
from detres.files.written_once import write_once

SPLIT_SIZES = {"train": 480, "val": 64, "test": 96}

# Anything that changes a pixel or a box changes this, so that an older copy is never taken for the set.
VERSION = "shapes 1"


def load_shapes(root: Path, split: str, *, classes: Sequence[str] | None = None) -> AnnotatedImages:
    """One split of the set below root, which is made where it is not there yet.

    Raises DataError where the split is unknown, or root holds something else or another version's shapes.
    """
    if split not in SPLIT_SIZES:
        raise DataError(f"split {split}: the shapes set has {', '.join(SPLIT_SIZES)}")
    make_shapes(root)
    images = load_coco(root, f"coco/instances_{split}.json:JPEGImages", classes=classes)
    return replace(images, name=f"shapes-{split}")


def make_shapes(root: Path) -> None:
    """Write the whole set to root, unless it is there: images, VOC annotations and lists, COCO annotations.

    Raises DataError where root holds something else or cannot be written.
    """
    write_once(root, VERSION, _write_all)


def _write_all(root: Path) -> None:
    for folder in ("JPEGImages", "Annotations", "ImageSets/Main", "coco"):
        (root / folder).mkdir(parents=True)
    number = 0
    for split, count in SPLIT_SIZES.items():
        scenes = {}
        for _ in range(count):
            number += 1
            stem = f"{number:06d}"
            scenes[stem] = draw_scene(numpy_generator(0, Purpose.DATA_SET, number))
            _write_image(root, stem, scenes[stem])
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in scenes))
        write_instances(_instances(scenes), root / "coco" / f"instances_{split}.json")


def _write_image(root: Path, stem: str, scene: Scene) -> None:
    # PNG keeps every pixel; JPEG's differ from one library to the next, when written and again when read.
    written = cv2.imwrite(str(root / "JPEGImages" / f"{stem}.png"), np.ascontiguousarray(scene.rgb[..., ::-1]))
    if not written:
        raise DataError(f"{root}: {stem}.png could not be written; is the disk full?")
    objects = [VocObject(SHAPES[label], box) for label, box in zip(scene.labels, scene.boxes, strict=True)]
    write_annotation(root / "Annotations" / f"{stem}.xml", f"{stem}.png", scene.rgb.shape[:2], objects)


def _instances(scenes: dict[str, Scene]) -> dict[str, list]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for stem, scene in scenes.items():
        height, width = scene.rgb.shape[:2]
        images.append({"id": int(stem), "file_name": f"{stem}.png", "height": height, "width": width})
        for label, box, area in zip(scene.labels, scene.boxes, scene.areas, strict=True):
            x1, y1, x2, y2 = box
            annotation = {"id": len(annotations) + 1, "image_id": int(stem), "category_id": label + 1, "iscrowd": 0}
            annotations.append(annotation | {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": area})
    categories = [{"id": label + 1, "name": name} for label, name in enumerate(SHAPES)]
    return {"images": images, "annotations": annotations, "categories": categories}
