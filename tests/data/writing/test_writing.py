"""A set written in every form, and read back: there and back gives the same boxes, to the form's own rounding."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from detres.data.data_file import load_data_file
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_split
from detres.data.detection.indexing import RawBox, RawImage, index_images
from detres.data.writing.pictures import picture_names
from detres.data.writing.writing import writable_formats, write_set
from detres.errors import ConfigError, DataError

CLASSES = ("dog", "cat")
EXACT = {"coco": 0.0, "yolo": 1e-5, "voc": 0.5}
"""Pixels that a corner may move."""


def made(folder: Path, images: list[RawImage], name: str = "set") -> AnnotatedImages:
    return index_images(images, name=name, root=folder, known_classes=CLASSES, classes=CLASSES)


def picture(folder: Path, name: str, size: tuple[int, int] = (60, 40)) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), len(name), np.uint8)).save(folder / name)


@pytest.fixture
def splits(tmp_path: Path) -> dict[str, AnnotatedImages]:
    """Two splits: fractions of pixels, a negative, an object at the edge, difficult, crowd and truncated ones."""
    folder = tmp_path / "source"
    for name in ("cam1/a.png", "cam2/a.png", "ü b.png", "v.png"):
        picture(folder, name)
    train = [
        RawImage(
            "cam1/a.png", "1", None, [RawBox("cat", (1.0, 2.0, 30.0, 20.0)), RawBox("dog", (5.25, 6.5, 21.125, 18.0))]
        ),
        RawImage("cam2/a.png", "2", None, [RawBox("dog", (50.0, 30.0, 60.0, 40.0), truncated=True)]),
        RawImage("ü b.png", "3"),
    ]
    boxes = [RawBox("cat", (3.0, 4.0, 9.0, 12.0)), RawBox("cat", (20.0, 4.0, 29.0, 12.0), difficult=True)]
    val = [RawImage("v.png", "4", None, [*boxes, RawBox("dog", (30.0, 4.0, 39.0, 12.0), crowd=True)])]
    return {"train": made(folder, train), "val": made(folder, val)}


def objects(images: AnnotatedImages) -> dict[str, list[tuple]]:
    """Of each image by the name it is written under: class, whether it is to be ignored, box."""
    found = {}
    for i, name in enumerate(picture_names({"train": images})["train"]):
        rows = range(int(images.offsets[i]), int(images.offsets[i + 1]))
        found[name] = [(images.class_names[images.labels[r]], bool(images.ignore[r]), images.boxes[r]) for r in rows]
    return found


def read_back(folder: Path) -> Mapping[str, AnnotatedImages]:
    data = load_data_file(folder)
    return {split: load_split(data, split) for split in ("train", "val", "test") if getattr(data, split)}


def assert_same(one: AnnotatedImages, other: AnnotatedImages, within: float, *, ignored: bool = True) -> None:
    others = objects(other)
    assert objects(one).keys() == others.keys()
    for name, before in objects(one).items():
        after = others[name]
        kept = [each for each in before if ignored or not each[1]]
        assert [each[:2] for each in kept] == [each[:2] for each in after]
        for (*_, box), (*_, again) in zip(kept, after, strict=True):
            np.testing.assert_allclose(again, box, atol=within + 1e-5)


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("form", EXACT)
def test_there_and_back(splits, tmp_path, form, link):
    write_set(splits, tmp_path / "out", form, link=link)
    back = read_back(tmp_path / "out")
    assert back.keys() == splits.keys()
    for split, images in splits.items():
        assert back[split].class_names == CLASSES  # in the order they had
        assert_same(images, back[split], EXACT[form], ignored=form != "yolo")
        for i in range(len(images)):
            assert os.path.islink(back[split].path(i)) == link
            assert back[split].pixels(i).shape == (40, 60, 3)
        assert not [problem for problem in back[split].problems if problem.kind != "written otherwise"]


@pytest.mark.parametrize("second", EXACT)
@pytest.mark.parametrize("first", EXACT)
def test_every_pair_of_forms(splits, tmp_path, first, second):
    """What is left after the first form survives the second, and the way back to the first."""
    write_set(splits, tmp_path / "1", first)
    once = read_back(tmp_path / "1")
    write_set(once, tmp_path / "2", second)
    write_set(read_back(tmp_path / "2"), tmp_path / "3", first)
    for split, images in read_back(tmp_path / "3").items():
        drops = second == "yolo"
        assert_same(once[split], images, max(EXACT[first], EXACT[second]), ignored=not drops)


def test_what_a_form_has_no_word_for_is_told(splits, tmp_path):
    assert write_set(splits, tmp_path / "coco", "coco") == ["1 boxes are marked truncated, for which COCO has no word"]
    assert write_set(splits, tmp_path / "voc", "voc") == [
        "1 boxes are rounded to whole pixels, as VOC's are",
        "1 crowd regions are written as difficult objects: VOC has no word for them",
    ]
    assert write_set(splits, tmp_path / "yolo", "yolo") == [
        "2 difficult or crowd boxes are left out: YOLO has no word for them",
        "1 boxes are marked truncated, for which YOLO has no word",
    ]


def test_files_by_hand(splits, tmp_path):
    write_set(splits, tmp_path / "yolo", "yolo")
    assert sorted(path.name for path in (tmp_path / "yolo/images/train").iterdir()) == ["a-2.png", "a.png", "ü b.png"]
    # cat 1..30 × 2..20 of 60 × 40, and dog 5.25..21.125 × 6.5..18.
    assert (tmp_path / "yolo/labels/train/a.txt").read_text() == (
        "1 0.2583333333 0.275 0.4833333333 0.45\n0 0.2197916667 0.30625 0.2645833333 0.2875\n"
    )
    assert (tmp_path / "yolo/labels/train/ü b.txt").read_text() == ""
    write_set(splits, tmp_path / "voc", "voc")
    assert (tmp_path / "voc/ImageSets/Main/train.txt").read_text(encoding="utf-8") == "a\na-2\nü b\n"
    xml = (tmp_path / "voc/Annotations/a.xml").read_text()
    assert "<xmin>2</xmin>" in xml
    assert "<ymax>20</ymax>" in xml


def test_a_tiny_object_at_the_edge_is_no_box_without_area_in_voc(tmp_path):
    picture(tmp_path / "source", "a.png")
    images = made(tmp_path / "source", [RawImage("a.png", "a", None, [RawBox("cat", (58.6, 38.6, 59.4, 39.4))])])
    lost = write_set({"train": images}, tmp_path / "out", "voc")
    assert lost[0] == "classes without a box, which VOC knows by their boxes alone: dog"
    assert read_back(tmp_path / "out")["train"].class_names == ("cat",)
    assert read_back(tmp_path / "out")["train"].boxes.tolist() == [[58.0, 38.0, 60.0, 40.0]]


def test_mistakes_leave_nothing(splits, tmp_path):
    with pytest.raises(ConfigError, match="--to pascal: expected one of coco, voc, yolo"):
        write_set(splits, tmp_path / "out", "pascal")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="it is there already"):
        write_set(splits, tmp_path / "full", "coco")
    with pytest.raises(DataError, match="no image"):
        write_set({"train": splits["train"].subset([])}, tmp_path / "out", "coco")
    os.unlink(splits["val"].path(0))
    with pytest.raises(DataError, match=r"v\.png: the picture is no longer there"):
        write_set(splits, tmp_path / "out", "coco")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "source"]


def test_the_forms_that_can_be_written():
    assert writable_formats() == ["coco", "voc", "yolo"]
