"""Small data sets on disk, and the real ones where they are."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.coco.reading import load_coco
from detres.data.formats.voc.writing import VocObject, write_annotation

REAL = Path(__file__).parents[2].parent / "shared" / "data"


def annotation(**more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20], "area": 200, "iscrowd": 0} | more


@pytest.fixture
def real_data() -> Path:
    if not REAL.is_dir():
        pytest.skip("the real data sets are not here")
    return REAL


@pytest.fixture
def write_picture() -> Callable[..., Path]:
    def write(path: Path, height: int = 40, width: int = 60, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, size=(height, width, 3), dtype=np.uint8)
        assert cv2.imwrite(str(path), pixels)
        return path

    return write


@pytest.fixture
def jpeg() -> Callable[..., bytes]:
    """The bytes of a picture that its number decides."""

    def encode(number: int, side: int = 24) -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, size=(side, side, 3), dtype=np.uint8)
        return cv2.imencode(".jpg", pixels)[1].tobytes()

    return encode


@pytest.fixture
def write_shard() -> Callable[[Path, Mapping[str, bytes]], Path]:
    """Write a tar file of these contents by name, in their order."""

    def write(path: Path, files: Mapping[str, bytes]) -> Path:
        with tarfile.open(path, "w") as opened:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                opened.addfile(member, io.BytesIO(content))
        return path

    return write


@pytest.fixture
def coco_root(tmp_path: Path, write_picture: Callable[..., Path]) -> Path:
    """Ids with gaps, a crowd, an image without boxes, and one of each mistake."""
    for number, size in ((5, (40, 60)), (9, (60, 40)), (12, (50, 50))):
        write_picture(tmp_path / "val" / f"{number}.png", *size, seed=number)

    def box(number: int, image: int, category: int, bbox: list[float], **more: object) -> dict:
        return {"id": number, "image_id": image, "category_id": category, "bbox": bbox, "iscrowd": 0} | more

    content = {
        "images": [
            {"id": 5, "file_name": "5.png", "height": 40, "width": 60},
            {"id": 9, "file_name": "9.png", "height": 60, "width": 40},
            {"id": 12, "file_name": "12.png", "height": 50, "width": 50},
            {"id": 13, "file_name": "13.png", "height": 50, "width": 50},
        ],
        "annotations": [
            box(1, 5, 3, [1.5, 2.25, 10, 20], area=123.5),
            box(2, 5, 90, [0, 0, 30, 30], area=700.0, iscrowd=1),
            box(3, 5, 3, [50, 30, 20, 20], area=400.0),
            box(4, 5, 3, [10, 10, 0, 5], area=0.0),
            box(5, 9, 77, [1, 1, 5, 5], area=25.0),
            box(6, 9, 3, [100, 1, 5, 5], area=25.0),
            box(7, 99, 3, [1, 1, 5, 5], area=25.0),
            box(8, 9, 90, [2, 3, 4, 5]),
            box(9, 9, 90, [2, 3, float("nan"), 5]),
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
    }
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "instances_val.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def load_entries(tmp_path: Path, write_picture: Callable[..., Path]) -> Callable[..., AnnotatedImages]:
    """Write a COCO file of these entries beside a.png and b.png, 60 by 40 pixels, and load it.

    images, annotations, categories: None for what is sound. raw: the file's bytes instead.
    """
    for seed, name in enumerate(("a.png", "b.png")):
        write_picture(tmp_path / name, seed=seed)

    def load(
        images: Any = None, annotations: Any = None, categories: Any = None, raw: bytes | None = None, **options: Any
    ) -> AnnotatedImages:
        content = {
            "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}] if images is None else images,
            "annotations": [annotation()] if annotations is None else annotations,
            "categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}] if categories is None else categories,
        }
        (tmp_path / "train.json").write_bytes(json.dumps(content).encode() if raw is None else raw)
        return load_coco(tmp_path, "train.json", **options)

    return load


@pytest.fixture
def voc_root(tmp_path: Path, write_picture: Callable[..., Path]) -> Path:
    """Two lists of a custom set in VOC's layout."""
    for folder in ("Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    objects = {
        "a": [VocObject("dog", (0, 0, 10, 20)), VocObject("cat", (5, 5, 60, 40), difficult=True, truncated=True)],
        "b": [],
        "c": [VocObject("bird", (3, 4, 5, 6))],
    }
    for stem, each in objects.items():
        write_picture(tmp_path / "JPEGImages" / f"{stem}.png")
        write_annotation(tmp_path / "Annotations" / f"{stem}.xml", f"{stem}.png", (40, 60), each)
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\nb\n")
    (tmp_path / "ImageSets" / "Main" / "test.txt").write_text("c\n")
    return tmp_path


@pytest.fixture
def yolo_root(tmp_path: Path, write_picture: Callable[..., Path]) -> Path:
    """A YOLO set of two classes: a is labelled soundly, b badly, c not at all."""
    for stem in ("a", "b", "c"):
        write_picture(tmp_path / "images" / "train" / f"{stem}.png")
    labels = tmp_path / "labels" / "train"
    labels.mkdir(parents=True)
    (labels / "a.txt").write_text("1 0.5 0.5 0.5 0.25\n0 0.1 0.1 0.3 0.1 0.3 0.5\n")
    (labels / "b.txt").write_text(
        "7 0.5 0.5 0.1 0.1\n0 0.5 zero 0.1 0.1\n0 0.5 0.5 0.1\n0 0.5 0.5 0 0.1\n0 1 1 0.5 0.5\n"
    )
    (tmp_path / "data.yaml").write_text("names:\n  0: cat\n  1: dog\n")
    return tmp_path
