"""Whatever form a set is written in: it is recognized as that form alone, and read as the same set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.format import find_format
from detres.errors import DataError
from detres.tables import DETECTION_FORMATS
from tests.data.formats.labels.drawn_set import BOXES, SIZES, WITHOUT_NEGATIVES

Written = tuple[str, str, Path, str]
HARMLESS_HERE = {"written otherwise", "pictures not named"}
READERS = tuple(name for name in DETECTION_FORMATS if DETECTION_FORMATS[name].recognize is not None)


def load(kind: str, root: Path, split: str, **keys: Any) -> AnnotatedImages:
    return find_format(DETECTION_FORMATS, kind).read(root, split, keys, AnnotatedImages)


def boxes_of(images: AnnotatedImages) -> Mapping[str, list[tuple[str, tuple[float, ...]]]]:
    found = {}
    for i in range(len(images)):
        target = images.target(i)
        names = [images.class_names[label] for label in target.labels.tolist()]
        boxes = [tuple(round(corner, 4) for corner in box) for box in target.boxes.tolist()]
        found[Path(images.file_name(i)).stem] = list(zip(names, boxes, strict=True))
    return found


def test_every_reader_gives_the_same_boxes(written: Written) -> None:
    form, kind, root, split = written
    images = load(kind, root, split)
    expected = {stem: boxes for stem, boxes in BOXES.items() if boxes or form not in WITHOUT_NEGATIVES}
    assert boxes_of(images) == expected
    assert images.class_names == ("cat", "dog")
    assert {Path(images.file_name(i)).stem: images.size(i)[::-1] for i in range(len(images))} == {
        stem: SIZES[stem] for stem in expected
    }
    assert [images.image_id(i) for i in range(len(images))] == list(expected)
    assert set(images.problem_counts()) <= HARMLESS_HERE
    assert load(kind, root, split, strict=True).digest() == images.digest()


def test_every_form_is_recognized_as_itself_alone(written: Written) -> None:
    _, kind, root, split = written
    found = {name: find_format(DETECTION_FORMATS, name).recognized(root) for name in READERS}
    assert {name: each is not None for name, each in found.items()} == {name: name == kind for name in READERS}
    known = found[kind]
    assert known is not None
    assert (known.root, known.val, known.test) == (root, (), ())
    assert known.train[0].partition("#")[0] == split
    assert known.why
    images = load(kind, known.root, known.train[0])
    assert len(images) == len(load(kind, root, split))


def test_the_file_itself_is_recognized(written: Written) -> None:
    _, kind, root, split = written
    file = {"darknet": root / "obj.data", "labelme": root / "a.json"}.get(kind, root / split)
    known = find_format(DETECTION_FORMATS, kind).recognized(file)
    assert known is not None
    assert len(load(kind, known.root, known.train[0])) >= 1
    assert all(find_format(DETECTION_FORMATS, name).recognized(file) is None for name in READERS if name != kind)


def test_classes_are_chosen_and_ordered(written: Written) -> None:
    _, kind, root, split = written
    images = load(kind, root, split, classes=("dog",))
    assert images.class_names == ("dog",)
    assert [name for boxes in boxes_of(images).values() for name, _ in boxes] == ["dog"]
    with pytest.raises(DataError, match="dig is no class of this set; did you mean dog"):
        load(kind, root, split, classes=("dig",))


def test_a_picture_that_is_not_there_costs_itself_alone(written: Written) -> None:
    _, kind, root, split = written
    next(root.rglob("b.png")).unlink()
    images = load(kind, root, split)
    assert "b" not in boxes_of(images)
    assert boxes_of(images)["a"] == BOXES["a"]
    assert set(images.problem_counts()) - HARMLESS_HERE <= {"image missing", "name outside the set", "file not read"}
    assert images.problem_counts().keys() - HARMLESS_HERE


def test_no_split_is_a_message(written: Written) -> None:
    _, kind, root, _ = written
    for split in ("none.csv", "none", "..", ""):
        with pytest.raises(DataError):
            load(kind, root, f"{split}/absent")
        assert find_format(DETECTION_FORMATS, kind).absent(root, [f"{split}/absent"]) == [f"{split}/absent"]


@pytest.mark.parametrize("kind", READERS)
def test_an_empty_folder_and_nothing_at_all_are_of_no_form(kind: str, tmp_path: Path) -> None:
    assert find_format(DETECTION_FORMATS, kind).recognized(tmp_path) is None
    assert find_format(DETECTION_FORMATS, kind).recognized(tmp_path / "absent") is None
    for name in ("a.csv", "a.json", "a.xml", "obj.data", "obj.names", "train.txt"):
        (tmp_path / name).write_text("")
    assert find_format(DETECTION_FORMATS, kind).recognized(tmp_path) is None
    for name in ("a.csv", "a.json", "a.xml"):
        with pytest.raises(DataError):
            load(kind, tmp_path, name)


@pytest.mark.parametrize("kind", sorted(set(READERS) - {"coco", "voc"}))  # One file of each of these lies there.
def test_what_lies_beside_pictures_is_no_alarm(kind: str, pictures: Path) -> None:
    others = {
        "prices.csv": "name,price\na.png,3\n",
        "embeddings.csv": "a.png,0.1,0.2,0.3,0.4,0.5\nb.png,0.5,0.1,0.4,0.2,0.3\n",
        "sizes.csv": "image,width,height\na.png,60,40\n",
        "found.csv": "image,xmin,ymin,xmax,ymax,class,score\na.png,1,2,3,4,cat,0.9\n",
        "labels.csv": "a.png,cat\nb.png,dog\n",
        "package.json": '{"name": "x", "version": "1", "images": []}',
        "list.json": '[{"image": "a.png", "caption": "a cat"}]',
        "coco.json": '{"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": []}',
        "detections.json": '[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]',
        "a.xml": "<annotation><filename>a.png</filename><object><name>cat</name></object></annotation>",
        "pom.xml": "<project><annotations/></project>",
        "notes.data": "train = hard\n",
    }
    for name, text in others.items():
        (pictures / name).write_text(text)
    assert find_format(DETECTION_FORMATS, kind).recognized(pictures) is None
    for name in others:
        assert find_format(DETECTION_FORMATS, kind).recognized(pictures / name) is None, name
