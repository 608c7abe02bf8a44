"""What labelme and its kin write beside a picture."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.data.formats.labels.labelme import load_labelme, recognize
from detres.errors import DataError

Write = Callable[..., Path]


def shape(kind: str | None, points: Any, label: Any = "cat", **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}} | more


@pytest.fixture
def load(tmp_path: Path, write_picture: Write) -> Callable[..., Any]:
    """Load a.json with these shapes, beside a.png of 60 by 40 pixels."""
    write_picture(tmp_path / "a.png")

    def read(*shapes: Any, **more: Any) -> Any:
        content = {"shapes": list(shapes), "imagePath": "a.png", "imageHeight": 40, "imageWidth": 60} | more
        (tmp_path / "a.json").write_text(json.dumps(content))
        return load_labelme(tmp_path, ".")

    return read


def test_every_shape_with_an_extent_becomes_the_box_around_it(load: Any) -> None:
    images = load(
        shape("rectangle", [[11, 2], [1, 12]]),
        shape("rectangle", [[1, 2], [21, 2], [21, 12], [1, 12]]),
        shape("circle", [[20, 20], [23, 24]]),
        shape("polygon", [[5, 6], [9, 1], [7, 30.5]]),
        shape(None, [[5, 6], [9, 2], [7, 30.5]]),
        shape("oriented_rectangle", [[30, 20], [40, 10], [45, 15], [35, 25]]),
        shape("mask", [[3, 4], [7, 9]], mask="iVBORw0KGgo="),
    )
    assert images.boxes.tolist() == [
        [1, 2, 11, 12],
        [1, 2, 21, 12],
        [15, 15, 25, 25],
        [5, 1, 9, 30.5],
        [5, 2, 9, 30.5],
        [30, 10, 45, 25],
        [3, 4, 8, 10],
    ]
    assert not images.problems


def test_parts_of_a_group_are_one_object_and_grouped_rectangles_are_not(load: Any) -> None:
    triangles = [[[1, 1], [5, 1], [1, 5]], [[20, 20], [25, 20], [20, 30]]]
    images = load(
        *(shape("polygon", points, group_id=3) for points in triangles),
        shape("polygon", [[7, 7], [9, 7], [9, 9]], "dog", group_id=3),
        shape("rectangle", [[30, 1], [35, 5]], group_id=3),
        shape("rectangle", [[40, 1], [45, 5]], group_id=3),
    )
    assert images.boxes.tolist() == [[1, 1, 25, 30], [7, 7, 9, 9], [30, 1, 35, 5], [40, 1, 45, 5]]


def test_marks_of_a_shape_or_among_its_flags(load: Any) -> None:
    corners = [[1, 2], [11, 12]]
    images = load(
        shape("rectangle", corners, difficult=True),
        shape("rectangle", corners, "dog", flags={"difficult": True}),
        shape("rectangle", corners, "cow", flags={"crowd": True}),
        shape("rectangle", corners, "pig", difficult=False, flags={"difficult": True, "other": 1}),
    )
    assert images.ignore.tolist() == [True, True, True, False]
    assert images.crowd.tolist() == [False, False, True, False]


def test_what_is_no_box_is_told_and_costs_itself_alone(load: Any) -> None:
    images = load(
        shape("rectangle", [[1, 2], [11, 12]]),
        shape("point", [[1, 2]]),
        shape("point", [[3, 2]]),
        shape("linestrip", [[1, 2], [3, 4]]),
        shape("circle", [[1, 2], [3, 4], [5, 6]]),
        shape("polygon", [[1, 2], [3, 4]]),
        shape("rectangle", [[1, 2], [float("nan"), 4]]),
        shape("rectangle", [[1, 2], [float("inf"), 4]]),
        shape("rectangle", [[1, 2, 3], [3, 4, 5]]),
        shape("rectangle", "1 2 3 4"),
        shape("rectangle", []),
        shape("rectangle", [[1, 2], [5, 6]], label=None),
        shape("rectangle", [[1, 2], [5, 6]], label="\ud800"),
        shape(["rectangle"], [[1, 2], [5, 6]]),
        "a shape",
        None,
        shape("rectangle", [[1, 2], [1e308, 1e308]]),
        shape("rectangle", [[-50, -50], [-5, -5]]),
    )
    assert images.boxes[0].tolist() == [1, 2, 11, 12]
    counts = images.problem_counts()
    assert counts["annotation malformed"] == 11
    assert counts["label of other meaning"] == 3
    assert counts["box outside the image"] == 2
    told = "\n".join(map(str, images.problems))
    assert "a.json: 2 shapes of kind point have no box; left out" in told


@pytest.mark.parametrize(
    "name", ["..\\images\\a.png", "C:\\x\\a.png", "/home/me/a.png", "../../etc/passwd", "old_name.png", None, 3]
)
def test_the_picture_is_found_whatever_its_path_was(load: Any, name: Any) -> None:
    """Where imagePath is of no use, the picture that is called as the JSON file is meant."""
    images = load(shape("rectangle", [[1, 2], [11, 12]]), imagePath=name)
    assert images.file_name(0) == "a.png"


def test_a_picture_outside_is_none_and_says_so(load: Any, tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps({"shapes": [], "imagePath": "../../etc/passwd"}))
    images = load(shape("rectangle", [[1, 2], [11, 12]]))
    assert images.problem_counts() == {"name outside the set": 1}
    assert len(images) == 1


def test_a_size_that_is_another_pictures_leaves_the_image_out(load: Any) -> None:
    with pytest.raises(DataError, match="stated 600x400, the file is 60x40"):
        load(shape("rectangle", [[1, 2], [11, 12]]), imageHeight=400, imageWidth=600)


def test_other_json_and_pictures_without_any_are_told(load: Any, tmp_path: Path, write_picture: Write) -> None:
    write_picture(tmp_path / "b.png")
    (tmp_path / "settings.json").write_text('{"zoom": 3}')
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "half.json").write_text('{"shapes": [')
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe\xfa")
    images = load(shape("rectangle", [[1, 2], [11, 12]]))
    assert images.problem_counts() == {"annotation malformed": 3, "file not read": 2}
    assert "1 picture without a JSON file, left out: b.png" in "\n".join(map(str, images.problems))


def test_labels_in_a_folder_of_their_own(tmp_path: Path, write_picture: Write) -> None:
    for split in ("train", "val"):
        write_picture(tmp_path / split / "images" / f"{split}.png")
        file = tmp_path / split / "labels" / f"{split}.json"
        file.parent.mkdir()
        content = {"shapes": [shape("rectangle", [[1, 2], [11, 12]], split)], "imagePath": f"..\\images\\{split}.png"}
        file.write_text(json.dumps(content), encoding="utf-8-sig")
    known = recognize(tmp_path)
    assert known is not None
    assert (known.train, known.val, known.test) == (("train/labels",), ("val/labels",), ())
    images = load_labelme(tmp_path, "train/labels", sibling_splits=("train/labels", "val/labels"))
    assert images.file_name(0) == "train/images/train.png"
    assert images.class_names == ("train", "val"), "all splits agree"
    assert not images.problems


def test_no_folder_and_no_files_are_messages(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no such folder of JSON files"):
        load_labelme(tmp_path, "train")
    with pytest.raises(DataError, match="none of its 0 JSON files is labelme's"):
        load_labelme(tmp_path, ".")
