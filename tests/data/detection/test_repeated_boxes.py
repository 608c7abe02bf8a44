from collections.abc import Callable
from pathlib import Path

import numpy as np

from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.repeated_boxes import repeated_rows
from detres.data.formats.voc.reading import load_voc
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.data.formats.yolo.reading import load_yolo

Load = Callable[..., AnnotatedImages]


def test_a_box_that_stands_twice_is_kept_once_and_counted(load_entries: Load) -> None:
    place = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]}
    others = [place | {"image_id": 2}, place | {"category_id": 2}, place | {"bbox": [1, 2, 10, 20.5]}]
    dataset = load_entries(None, [place | {"id": n} for n in range(3)] + others)
    assert np.diff(dataset.offsets).tolist() == [3, 1]
    assert dataset.problem_counts() == {"box stands twice": 2}
    assert str(dataset.problems[0]) == "box stands twice: a.png: cat at 1, 2, 11, 22; kept once"


def test_classes_that_nobody_asked_for_are_left_out_in_silence(load_entries: Load) -> None:
    place = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]}
    assert not load_entries(None, [place, place], classes=["dog"]).problems


def test_of_two_the_one_that_is_to_be_found_is_kept(load_entries: Load) -> None:
    place = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20]}
    for crowds in ([1, 0, 1], [0, 1, 1], [1, 1, 0]):
        dataset = load_entries(None, [place | {"iscrowd": crowd} for crowd in crowds])
        assert dataset.ignore.tolist() == [False]
        assert dataset.problem_counts() == {"box stands twice": 2}


def test_voc_and_yolo_are_judged_alike(voc_root: Path, tmp_path: Path, write_picture: Callable[..., Path]) -> None:
    twice = [VocObject("dog", (0, 0, 10, 20))] * 2
    write_annotation(voc_root / "Annotations" / "b.xml", "b.png", (40, 60), twice)
    assert load_voc(voc_root, "train").problem_counts() == {"box stands twice": 1}
    write_picture(tmp_path / "yolo" / "images" / "a.png")
    (tmp_path / "yolo" / "images" / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n0 0.50 0.5 0.20 0.2\n")
    (tmp_path / "yolo" / "classes.txt").write_text("cat\n")
    dataset = load_yolo(tmp_path / "yolo", "images")
    assert (len(dataset.boxes), dataset.problem_counts()) == (1, {"box stands twice": 1})


def test_it_is_what_comparing_every_pair_finds() -> None:
    draw = np.random.default_rng(0)
    count = 300
    owner = np.sort(draw.integers(0, 5, count))
    labels, ignore, good = draw.integers(0, 3, count), draw.random(count) < 0.3, draw.random(count) < 0.9
    xyxy = draw.integers(-1, 2, (count, 4)) * 0.5
    xyxy[draw.random((count, 4)) < 0.1] *= -1.0  # some zeros become negative ones
    keys = [(o, c, *(0.0 + p).tolist()) for o, c, p in zip(owner, labels, xyxy, strict=True)]
    expected = []
    for key in set(keys):
        rows = [i for i in range(count) if keys[i] == key and good[i]]
        kept = next((i for i in rows if not ignore[i]), rows[0] if rows else None)
        expected += [i for i in rows if i != kept]
    assert len(expected) > 20
    assert repeated_rows(owner, labels, xyxy, ignore, good) == sorted(expected)


def test_no_boxes_are_none_twice() -> None:
    none = np.zeros(0)
    assert repeated_rows(none.astype(int), none.astype(int), np.zeros((0, 4)), none > 0, none > 0) == []
