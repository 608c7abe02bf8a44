"""Entries as converters, merges and slips leave them."""

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.coco.reading import coco_ground_truth
from detres.errors import DataError

Load = Callable[..., AnnotatedImages]
NAN, INF, HUGE = float("nan"), float("inf"), 10**400


def box(**more: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 10, 20], "area": 200, "iscrowd": 0} | more


def of_images(dataset: AnnotatedImages) -> list[int]:
    return np.diff(dataset.offsets).tolist()


# Ids.


@pytest.mark.parametrize(("stated", "asked"), [(1, "1"), ("1", 1), (1, "1.0"), ("01", 1), (1, " 1 "), ("1", 1.0)])
def test_an_id_is_matched_as_text_and_as_a_number(load_entries: Load, stated: Any, asked: Any) -> None:
    images = [{"id": stated, "file_name": "a.png"}, {"id": "x", "file_name": "b.png"}]
    dataset = load_entries(images, [box(image_id=asked), box(image_id="x", bbox=[3, 3, 9, 9])], strict=True)
    assert of_images(dataset) == [1, 1]
    assert dataset.image_ids.tolist() == [str(stated), "x"]
    assert set(dataset.problem_counts()) <= {"written otherwise"}


@pytest.mark.parametrize(("stated", "asked"), [(1, "1"), ("1", 1), ("7", 7.0)])
def test_category_ids_are_matched_the_same_way(load_entries: Load, stated: Any, asked: Any) -> None:
    categories = [{"id": stated, "name": "cat"}, {"id": "z", "name": "dog"}]
    dataset = load_entries(None, [box(category_id=asked), box(category_id="z")], categories)
    assert dataset.labels.tolist() == [0, 1]
    assert dataset.category_ids == (stated, "z")


def test_what_was_matched_is_told_in_one_line(load_entries: Load) -> None:
    dataset = load_entries(None, [box(image_id="1", bbox=[n, 2, 10, 20]) for n in range(5)])
    (problem,) = dataset.problems
    assert str(problem).startswith("written otherwise: train.json: 5 image ids")


def test_an_id_of_two_meanings_is_matched_to_itself_alone(load_entries: Load) -> None:
    images = [{"id": "01", "file_name": "a.png"}, {"id": "1", "file_name": "b.png"}]
    dataset = load_entries(images, [box(image_id=1), box(image_id="01"), box(image_id="001", id=7)])
    assert of_images(dataset) == [1, 1]
    assert dataset.problem_counts() == {"unknown image": 1, "written otherwise": 1}


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 2**64, 10**30])
def test_ids_beyond_64_bits_are_neither_rounded_nor_objects(load_entries: Load, number: int) -> None:
    images = [{"id": number, "file_name": "a.png"}, {"id": 1, "file_name": "b.png"}]
    categories = [{"id": number, "name": "cat"}, {"id": 2, "name": "dog"}]
    dataset = load_entries(images, [box(image_id=number, category_id=number)], categories)
    assert of_images(dataset) == [1, 0]
    assert not dataset.problems
    assert dataset.image_ids.dtype.kind == ("i" if number < 2**63 else "U")
    assert [str(each) for each in dataset.image_ids] == [str(number), "1"]
    assert json.dumps(coco_ground_truth(dataset)).count(str(number)) == 4


@pytest.mark.parametrize("strange", [None, True, [1], {"id": 1}, 1.5, NAN, INF, HUGE, "", "9" * 300, "a\0b", "\ud800"])
def test_what_is_no_id_is_a_counted_problem(load_entries: Load, strange: Any) -> None:
    images = [{"id": 1, "file_name": "a.png"}, {"id": strange, "file_name": "b.png"}]
    categories = [{"id": 1, "name": "cat"}, {"id": strange, "name": "dog"}]
    dataset = load_entries(images, [box(), box(image_id=strange), box(category_id=strange)], categories)
    assert of_images(dataset) == [1]
    counts = {"annotation malformed": 2, "unknown image": 1, "unknown class": 1}
    assert dataset.problem_counts() == counts
    assert all(len(str(problem)) < 400 for problem in dataset.problems)


# What stands twice.


def test_neither_of_two_images_of_one_id_is_trusted(load_entries: Load) -> None:
    images = [{"id": 1, "file_name": "a.png"}, {"id": "1", "file_name": "b.png"}, {"id": 3, "file_name": "b.png"}]
    dataset = load_entries(images, [box(), box(image_id="1"), box(image_id=3)])
    assert [dataset.file_name(i) for i in range(len(dataset))] == ["b.png"]
    assert dataset.image_ids.tolist() == [3]
    assert of_images(dataset) == [1]
    twice = [problem for problem in dataset.problems if problem.kind == "image id twice"]
    assert [problem.file for problem in twice] == ["a.png", "b.png"]
    assert "left out with the id's 2 boxes" in twice[0].detail


def test_an_image_whose_entry_stands_twice_as_it_is_is_one_image(load_entries: Load) -> None:
    dataset = load_entries([{"id": 1, "file_name": "a.png"}] * 2)
    assert of_images(dataset) == [1]
    assert dataset.problem_counts() == {"image repeated": 1}


def test_a_file_under_two_ids_is_told_and_stays(load_entries: Load) -> None:
    dataset = load_entries([{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "./a.png"}])
    assert len(dataset) == 2
    (problem,) = dataset.problems
    assert str(problem) == "image repeated: a.png: listed as 1 and 2; both kept"
    with pytest.raises(DataError, match="image repeated"):
        load_entries([{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "a.png"}], strict=True)


def test_two_classes_of_one_id_are_left_out_with_their_boxes(load_entries: Load) -> None:
    categories = [{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "bird"}]
    dataset = load_entries(None, [box(), box(category_id=2)], categories)
    assert (dataset.class_names, dataset.category_ids, len(dataset.boxes)) == (("bird",), (2,), 1)
    assert dataset.problem_counts() == {"category id twice": 1, "unknown class": 1}
    assert "id 1 is cat and dog" in str(dataset.problems[0])


def test_two_categories_of_one_name_are_one_class_and_said(load_entries: Load) -> None:
    categories = [{"id": 5, "name": "cat"}, {"id": 1, "name": "cat"}, {"id": 1, "name": "cat"}]
    dataset = load_entries(None, [box(), box(category_id=5, bbox=[5, 5, 5, 5])], categories)
    assert (dataset.class_names, dataset.category_ids, dataset.labels.tolist()) == (("cat",), (1,), [0, 0])
    assert dataset.problem_counts() == {"category repeated": 2}
    assert dataset.other_ids == dataset.subset([0]).other_ids == {5: 1}
    categories.append({"id": 2, "name": "dog"})
    assert load_entries(None, [box()], categories, classes=["dog"]).other_ids == {}


# Values.


def test_flags_are_what_they_say_and_not_pythons_truth(load_entries: Load) -> None:
    written = ["0", "1", 0, 1, False, True, None, "", "0.0", 1.0, "false"]
    dataset = load_entries(None, [box(bbox=[n, 1, 5, 5], iscrowd=value) for n, value in enumerate(written)])
    assert dataset.crowd.tolist() == [False, True] * 3 + [False, False, False, True, False]
    dataset = load_entries(None, [box(bbox=[n, 1, 5, 5], difficult=value) for n, value in enumerate(("0", "1"))])
    assert (dataset.ignore.tolist(), dataset.crowd.tolist()) == ([False, True], [False, False])
    assert not dataset.problems


@pytest.mark.parametrize("key", ["iscrowd", "difficult"])
@pytest.mark.parametrize("value", [2, -1, "perhaps", NAN, INF, HUGE, [0], {}, 0.5])
def test_what_is_no_flag_is_a_problem_with_its_name(load_entries: Load, key: str, value: Any) -> None:
    dataset = load_entries(None, [box(), box(id=8, **{key: value})])
    assert len(dataset.boxes) == 1
    (problem,) = dataset.problems
    assert (problem.kind, problem.file) == ("annotation malformed", "a.png")
    assert problem.detail.startswith(f"annotation 8: its {key} ")


@pytest.mark.parametrize(
    "bbox",
    [
        *(None, 5, "1 2 3 4", {}, [], [1, 2, 3], [1, 2, 3, 4, 5], [[1, 2, 3, 4]], [1, 2, None, 4], [1, 2, True, 4]),
        *([1, 2, NAN, 4], [INF, 2, 3, 4], [1, HUGE, 3, 4], [1, 2, "x", 4], [1, 2, "nan", 4], {"x": 1}, [1e308] * 5),
    ],
)
def test_what_is_no_box_is_a_problem_with_its_name(load_entries: Load, bbox: Any) -> None:
    dataset = load_entries(None, [box(), box(id=8, bbox=bbox)])
    assert len(dataset.boxes) == 1
    (problem,) = dataset.problems
    assert (problem.kind, problem.file) == ("annotation malformed", "a.png")
    assert "annotation 8: its bbox" in problem.detail


def test_numbers_may_be_text(load_entries: Load) -> None:
    image = {"id": 1, "file_name": "a.png", "width": "60", "height": "40.0"}
    dataset = load_entries([image], [box(bbox=["1", "2.5", " 10 ", "2e1"], area="123.5")])
    assert dataset.annotated.tolist() == [[1.0, 2.5, 10.0, 20.0]]
    assert dataset.areas.tolist() == [123.5]
    assert not dataset.problems


@pytest.mark.parametrize("area", [NAN, INF, HUGE, "wide", -5, [4]])
def test_an_area_that_is_none_is_a_problem(load_entries: Load, area: Any) -> None:
    dataset = load_entries(None, [box(), box(area=area)])
    assert np.isfinite(dataset.areas).all()
    assert dataset.problem_counts() == {"annotation malformed": 1}


@pytest.mark.filterwarnings("error")
def test_sides_beyond_all_numbers_are_clipped_or_left_out(load_entries: Load) -> None:
    boxes = [[0, 0, 1e200, 1e200], [-1e308, 0, 1e308, 5], [1e308, 0, 1e308, 5]]
    dataset = load_entries(None, [box(bbox=bbox, area=None) for bbox in boxes])
    assert dataset.boxes.tolist() == [[0, 0, 60, 40]]
    assert dataset.areas.tolist() == [2400.0]
    assert dataset.problem_counts() == {"box outside the image": 2, "annotation malformed": 1}


@pytest.mark.parametrize(("height", "width"), [("tall", 60), (NAN, 60), (40, INF), (40.5, 60), ([40], 60), (HUGE, 60)])
def test_a_size_that_is_none_is_told_and_the_files_own_is_used(load_entries: Load, height: Any, width: Any) -> None:
    dataset = load_entries([{"id": 1, "file_name": "a.png", "height": height, "width": width}])
    assert dataset.size(0) == (40, 60)
    assert len(dataset.boxes) == 1
    assert dataset.problem_counts() == {"annotation malformed": 1}


@pytest.mark.parametrize(("height", "width", "images"), [(-1, -1, 1), (0, 60, 1), (10**30, 60, 0), (60, 60, 0)])
def test_a_size_that_differs_is_one_of_the_old_problems(
    load_entries: Load, height: int, width: int, images: int
) -> None:
    stated = {"id": 1, "file_name": "a.png", "height": height, "width": width}
    dataset = load_entries([stated, {"id": 2, "file_name": "b.png"}])
    assert len(dataset) == images + 1
    assert dataset.problem_counts() == {"size disagrees": 1}


@pytest.mark.parametrize("entry", [None, 3, "text", [1, 2]])
def test_an_entry_that_is_no_object_is_counted_and_the_rest_is_used(load_entries: Load, entry: Any) -> None:
    images = [{"id": 1, "file_name": "a.png"}, entry]
    dataset = load_entries(images, [entry, box()], [{"id": 1, "name": "cat"}, entry])
    assert of_images(dataset) == [1]
    assert dataset.problem_counts() == {"annotation malformed": 3}
    assert sum(problem.costs_image for problem in dataset.problems) == 1


@pytest.mark.parametrize("name", [None, True, [], {}, NAN, HUGE, "", "\ud800", "x" * 1000])
def test_a_name_that_is_none_makes_no_class(load_entries: Load, name: Any) -> None:
    dataset = load_entries(None, None, [{"id": 1, "name": "cat"}, {"id": 2, "name": name}])
    assert dataset.class_names == ("cat",)
    assert dataset.problem_counts() == {"annotation malformed": 1}


def test_a_number_may_be_a_name_and_an_id_may_be_zero(load_entries: Load) -> None:
    dataset = load_entries(None, [box(category_id=0)], [{"id": 0, "name": 7, "supercategory": []}])
    assert (dataset.class_names, len(dataset.boxes)) == (("7",), 1)


# Shares, names that look alike, and Unicode's forms.


def test_boxes_that_look_like_shares_of_the_image_are_told_once_and_no_harmless_thing(load_entries: Load) -> None:
    boxes = [box(id=n, bbox=[0.01 * n, 0.1, 0.5, 0.9]) for n in range(6)]
    (problem,) = [p for p in load_entries(None, boxes).problems if p.kind == "boxes look like shares"]
    assert "its 6 boxes all lie within 0 to 1" in problem.detail
    with pytest.raises(DataError, match="look like shares"):
        load_entries(None, boxes, strict=True)
    for sound in (boxes[:3], [*boxes, box()]):
        assert "boxes look like shares" not in load_entries(None, sound).problem_counts()


def test_names_that_differ_by_spaces_around_them_or_by_unicodes_form_are_one_class(load_entries: Load) -> None:
    names = ["cat", " cat\n", "caf\u00e9", "cafe\u0301"]
    categories = [{"id": n, "name": name} for n, name in enumerate(names)]
    boxes = [box(category_id=n, bbox=[n, 2, 10, 20]) for n in range(4)]
    for wanted in (None, ["cat", "cafe\u0301"]):
        dataset = load_entries(None, boxes, categories, classes=wanted)
        assert (dataset.class_names, dataset.labels.tolist()) == (("cat", "caf\u00e9"), [0, 0, 1, 1])
    assert dataset.problem_counts() == {"category repeated": 2}


@pytest.mark.parametrize("other", ["Traffic light", "traffic  light", "traffic\u200b light", "ｔraffic light"])
def test_names_that_look_alike_stay_two_classes_and_are_told(load_entries: Load, other: str) -> None:
    categories = [{"id": 1, "name": "traffic light"}, {"id": 2, "name": other}, {"id": 3, "name": "traffic"}]
    dataset = load_entries(None, None, categories, strict=True)
    assert len(dataset.class_names) == 3
    (problem,) = dataset.problems
    assert problem.kind == "class names look alike"
    assert "'traffic light', " in problem.detail


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("alone", [False, True])
def test_an_image_is_found_whatever_unicodes_form_its_name_has(
    load_entries: Load, tmp_path: Path, form: str, alone: bool
) -> None:
    stated, there = (unicodedata.normalize(each, "é.png") for each in (form, {"NFC": "NFD", "NFD": "NFC"}[form]))
    (tmp_path / "a.png").rename(tmp_path / there)
    images = [{"id": 1, "file_name": stated}, {"id": 2, "file_name": "b.png"}][: 1 if alone else 2]
    dataset = load_entries(images, strict=True)
    assert (dataset.file_name(0), len(dataset.boxes)) == (there, 1)


def test_lvis_names_its_images_by_their_address(
    load_entries: Callable[..., AnnotatedImages], tmp_path: Path, write_picture: Callable[..., Path]
) -> None:
    """LVIS v1 has no file_name, no iscrowd, and images of both train2017 and val2017 in its val."""
    write_picture(tmp_path / "train2017" / "000000391895.png")
    write_picture(tmp_path / "val2017" / "000000000139.png", seed=1)
    lists = {"not_exhaustive_category_ids": [2], "neg_category_ids": [1]}
    images = [
        {"id": 391895, "coco_url": "http://images.cocodataset.org/train2017/000000391895.png", **lists},
        {"id": 139, "coco_url": "http://images.cocodataset.org/val2017/000000000139.png", **lists},
        {"id": 1, "coco_url": "http://images.cocodataset.org/../../../etc/passwd", **lists},
    ]
    box = {"id": 1, "image_id": 139, "category_id": 2, "bbox": [1, 2, 10, 20], "area": 200.0}
    categories = [{"id": 1, "name": "cat", "synset": "cat.n.01"}, {"id": 2, "name": "dog", "frequency": "r"}]
    found = load_entries(images, [box], categories)
    assert [found.file_name(i) for i in range(len(found))] == [
        "train2017/000000391895.png",
        "val2017/000000000139.png",
    ]
    assert found.target(1).boxes.tolist() == [[1, 2, 11, 22]]
    assert found.class_names == ("cat", "dog")
    assert found.problem_counts() == {"image missing": 1}
