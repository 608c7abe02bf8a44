from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from detres.config.localization_schema import LocalizationDataConfig
from detres.data.formats.shapes import SHAPES
from detres.data.formats.shapes import localization as shapes_localized
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.data.localization.datasets import load_localized
from detres.data.localization.localized import ANNOTATIONS
from detres.errors import DataError

GOLDFISH, SHARK = "n01443537", "n01484850"


def write_image(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((40, 60, 3), 90, np.uint8))


def write_boxes(file: Path, *objects: tuple[str, tuple[float, ...]]) -> None:
    """Boxes as their files have them: pixels from 0, both ends included."""
    file.parent.mkdir(parents=True, exist_ok=True)
    written = [VocObject(name, (x1 - 1, y1 - 1, x2, y2)) for name, (x1, y1, x2, y2) in objects]
    write_annotation(file, "whatever", (40, 60), written)


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """Two classes: three training images, of which one has no box, and one validation image whose file lies flat."""
    root = tmp_path / "imagenet"
    for name in (f"train/{GOLDFISH}/{GOLDFISH}_1", f"train/{GOLDFISH}/{GOLDFISH}_2", f"train/{SHARK}/{SHARK}_1"):
        write_image(root / f"{name}.JPEG")
    for wnid in (GOLDFISH, SHARK):
        write_image(root / "val" / wnid / f"ILSVRC2012_val_{wnid[-3:]}.JPEG")
        write_boxes(root / ANNOTATIONS / "val" / f"ILSVRC2012_val_{wnid[-3:]}.xml", (wnid, (0, 0, 59, 39)))
    boxes = (GOLDFISH, (0, 5, 9, 14)), (GOLDFISH, (20, 20, 200, 39)), (SHARK, (1, 1, 5, 5))
    write_boxes(root / ANNOTATIONS / "train" / GOLDFISH / f"{GOLDFISH}_1.xml", *boxes)
    boxes = (SHARK, (30, 10, 31, 11)), (SHARK, (7, 7, 7, 7))
    write_boxes(root / ANNOTATIONS / "train" / SHARK / f"{SHARK}_1.xml", *boxes)
    return root


def test_boxes_count_pixels_from_zero_and_images_without_boxes_are_left_out_and_counted(imagenet: Path) -> None:
    images = load_localized(LocalizationDataConfig(root=str(imagenet)), "train")
    assert [images.image_id(i).rpartition("/")[2] for i in range(len(images))] == [
        f"{GOLDFISH}_1.JPEG",
        f"{SHARK}_1.JPEG",
    ]
    assert images.without_boxes == 1
    np.testing.assert_array_equal(images.boxes_of(0), [[0, 5, 10, 15], [20, 20, 60, 40]])
    np.testing.assert_array_equal(images.boxes_of(1), [[30, 10, 32, 12]])
    assert [problem.kind for problem in images.problems] == ["unknown class", "box without area"]
    assert "n01484850" in images.problems[0].detail


def test_validation_annotations_lie_flat(imagenet: Path) -> None:
    images = load_localized(LocalizationDataConfig(root=str(imagenet)), "val")
    assert (len(images), images.without_boxes) == (2, 0)
    np.testing.assert_array_equal(images.boxes_of(1), [[0, 0, 60, 40]])


def test_kaggles_layout_is_read_as_well(imagenet: Path) -> None:
    for split in ("train", "val"):
        (imagenet / "Data/CLS-LOC").mkdir(parents=True, exist_ok=True)
        shutil.move(imagenet / split, imagenet / "Data/CLS-LOC" / split)
    data = LocalizationDataConfig(root=str(imagenet), train=("Data/CLS-LOC/train",), val=("Data/CLS-LOC/val",))
    assert len(load_localized(data, "train")) == 2
    assert len(load_localized(data, "val")) == 2


def test_a_set_without_boxes_is_refused(imagenet: Path) -> None:
    data = LocalizationDataConfig(root=str(imagenet))
    shutil.rmtree(imagenet / ANNOTATIONS / "train")
    with pytest.raises(DataError, match=r"none of its 3 images has a box below .*CLS-LOC"):
        load_localized(data, "train")
    shutil.rmtree(imagenet / ANNOTATIONS)
    with pytest.raises(DataError, match=r"so the set has no boxes; .*train/SYNSET"):
        load_localized(data, "val")


def test_strict_refuses_and_a_missing_split_is_said(imagenet: Path) -> None:
    with pytest.raises(DataError, match=r"2 problems, and data.strict=true accepts none"):
        load_localized(LocalizationDataConfig(root=str(imagenet), strict=True), "train")
    with pytest.raises(DataError, match=r"names no test split"):
        load_localized(LocalizationDataConfig(root=str(imagenet)), "test")


def test_a_digest_changes_with_a_box(imagenet: Path) -> None:
    data = LocalizationDataConfig(root=str(imagenet))
    before = load_localized(data, "train").digest()
    assert load_localized(data, "train").digest() == before
    write_boxes(imagenet / ANNOTATIONS / "train" / SHARK / f"{SHARK}_1.xml", (SHARK, (30, 10, 31, 12)))
    assert load_localized(data, "train").digest() != before


@pytest.fixture
def few_shapes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LocalizationDataConfig:
    monkeypatch.setattr(shapes_localized, "IMAGES_PER_CLASS", {"train": 2, "val": 1})
    return LocalizationDataConfig(format="shapes", root=str(tmp_path / "shapes"))


def test_the_embedded_set_has_one_object_an_image_where_its_box_says(few_shapes: LocalizationDataConfig) -> None:
    images = load_localized(few_shapes, "train")
    assert (len(images), images.class_names, images.without_boxes) == (12, SHAPES, 0)
    assert images.problems == ()
    for i in range(len(images)):
        (box,) = images.boxes_of(i)
        rgb = images.read(i).astype(int)
        assert min(rgb.shape[:2]) == shapes_localized.SHORTER_SIDE
        assert 0 <= box[0] < box[2] <= rgb.shape[1]
        assert 0 <= box[1] < box[3] <= rgb.shape[0]
        assert 0.2 < (box[2] - box[0]) / shapes_localized.SHORTER_SIDE < 0.75
