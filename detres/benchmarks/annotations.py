"""COCO's training annotations from the file to what is trained on: detres's reader against pycocotools'.

detres reads every image's header as well, so that no image is missing and no size is wrong later; pycocotools does not
look at the images. I images, T boxes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from detres.benchmarks.contenders import Contender
from detres.benchmarks.machine import Machine
from detres.benchmarks.memory import peak_of_process
from detres.benchmarks.rows import Check, Row
from detres.benchmarks.scenes import smooth_picture
from detres.benchmarks.timing import Plan, alternate
from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.coco.reading import load_coco

TARGET = 1.0
_HEIGHT, _WIDTH = 480, 640
_FILE = "instances.json"
_ROUNDING = 1e-9
_BLOCK = 10_000
# File systems allow tens of thousands of names of one file.
_NAMES_OF_A_FILE = 30_000


@dataclass(frozen=True)
class AnnotationFile:
    """images, boxes, classes: as many as COCO train2017 has. corners: of each polygon, which nobody here reads."""

    images: int = 118_287
    boxes: int = 860_001
    classes: int = 80
    corners: int = 24

    @property
    def work(self) -> str:
        return f"{self.images} images, {self.boxes} boxes with polygons of {self.corners} corners, one JSON"

    def write(self, folder: Path) -> None:
        """The file, and its images: every one a small JPEG's name."""
        draws = np.random.default_rng(0)
        for first in range(0, self.images, _NAMES_OF_A_FILE):
            picture = folder / _image_name(first)
            Image.fromarray(smooth_picture(_HEIGHT, _WIDTH, first, noise=0.0)).save(picture)
            for number in range(first + 1, min(first + _NAMES_OF_A_FILE, self.images)):
                os.link(picture, folder / _image_name(number))
        images = [
            {"id": number, "file_name": _image_name(number), "height": _HEIGHT, "width": _WIDTH, "license": 1}
            for number in range(self.images)
        ]
        categories = [{"id": number + 1, "name": f"class {number}"} for number in range(self.classes)]
        with (folder / _FILE).open("w", encoding="utf-8") as stream:
            stream.write(f'{{"images": {json.dumps(images)}, "categories": {json.dumps(categories)}, "annotations": [')
            for first in range(0, self.boxes, _BLOCK):
                annotations = self._annotations(draws, first, min(first + _BLOCK, self.boxes))
                stream.write((", " if first else "") + json.dumps(annotations)[1:-1])
            stream.write("]}")

    def _annotations(self, draws: np.random.Generator, first: int, end: int) -> list[dict[str, Any]]:
        """Those with the numbers first to end - 1; one in a hundred is a crowd."""
        count, sides = end - first, np.array([_WIDTH, _HEIGHT])
        size = 10 ** draws.uniform(-1.7, -0.1, (count, 2)) * sides
        corner = draws.random((count, 2)) * (sides - size)
        outlines = corner[:, None] + draws.random((count, self.corners, 2)) * size[:, None]
        columns = zip(
            draws.integers(self.images, size=count).tolist(),
            draws.integers(1, self.classes + 1, size=count).tolist(),
            np.concatenate([corner, size], axis=1).round(2).tolist(),
            outlines.reshape(count, -1).round(2).tolist(),
            (draws.random(count) < 0.01).tolist(),
            strict=True,
        )
        return [
            {
                "segmentation": [outline],
                "area": 0.6 * box[2] * box[3],
                "iscrowd": int(crowd),
                "image_id": image,
                "bbox": box,
                "category_id": category,
                "id": number,
            }
            for number, (image, category, box, outline, crowd) in enumerate(columns, start=first)
        ]


def _image_name(number: int) -> str:
    return f"{number:012d}.jpg"


def measure_annotations(machine: Machine, work: AnnotationFile, plan: Plan) -> list[Row]:
    """The rows annotations/coco and annotations/coco/memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work.write(folder)
        makers = {"ours": partial(make_ours, folder), "pycocotools": partial(make_theirs, folder)}
        calls = {name: make() for name, make in makers.items()}
        check = same_boxes(calls["ours"](), calls["pycocotools"]())
        times = alternate(calls, torch.device("cpu"), plan)
        seconds = {name: float(np.median(values)) for name, values in times.items()}
        rows = [
            Row(
                "annotations/coco",
                seconds["ours"],
                seconds["pycocotools"],
                "s",
                "pycocotools, which does not look at the images",
                work.work,
                target=TARGET,
                rounds=len(times["ours"]),
                check=check,
            )
        ]
        if plan.memory:
            ours, theirs = (peak_of_process(makers[name], machine.threads) for name in ("ours", "pycocotools"))
            rows.append(Row("annotations/coco/memory", ours, theirs, "MiB", "pycocotools", work.work, target=TARGET))
    return rows


def make_ours(folder: Path) -> Contender:
    return Contender(partial(load_coco, folder, _FILE))


def make_theirs(folder: Path) -> Contender:
    """As everybody calls it."""
    from pycocotools.coco import COCO

    def call() -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return COCO(str(folder / _FILE))

    return Contender(call)


def same_boxes(ours: AnnotatedImages, theirs: Any) -> Check:
    """Every image with the same boxes (but for rounding), categories, areas and crowds, in the same order."""
    columns: list[tuple[str, NDArray]] = [
        ("area", ours.areas),
        ("iscrowd", ours.crowd),
        ("category_id", np.array(ours.category_ids)[ours.labels]),
    ]
    differing = []
    for i, image_id in enumerate(ours.image_ids.tolist()):
        rows, expected = slice(ours.offsets[i], ours.offsets[i + 1]), theirs.imgToAnns[image_id]
        same = rows.stop - rows.start == len(expected) and np.allclose(
            ours.annotated[rows], np.array([each["bbox"] for each in expected]).reshape(-1, 4), rtol=0, atol=_ROUNDING
        )
        if not same or any(column[rows].tolist() != [each[key] for each in expected] for key, column in columns):
            differing.append(image_id)
    passed = not differing and list(theirs.imgs) == ours.image_ids.tolist() and len(ours) > 0
    what = f"{len(ours)} images with the same {len(ours.boxes)} boxes" if passed else f"differ: {differing[:5]}"
    return Check(passed, what)
