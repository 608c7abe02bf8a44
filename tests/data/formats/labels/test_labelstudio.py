"""Label Studio's exports."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detres.data.formats.labels.labelstudio import load_labelstudio
from detres.errors import DataError

Write = Callable[..., Path]
SIDES = {"original_width": 60, "original_height": 40, "image_rotation": 0}


def result(
    kind: str = "rectanglelabels", labels: Any = ("cat",), *, sides: Any = SIDES, **value: Any
) -> dict[str, Any]:
    value = {"x": 10, "y": 25, "width": 50, "height": 20, "rotation": 0} | value
    return {"type": kind, **sides, "value": value | {kind: list(labels) if isinstance(labels, tuple) else labels}}


def task(*results: Any, image: Any = "/data/upload/1/0aff31c9-a.png", **more: Any) -> dict[str, Any]:
    return {"data": {"image": image}, "annotations": [{"result": list(results), "was_cancelled": False}]} | more


@pytest.fixture
def load(tmp_path: Path, write_picture: Write) -> Callable[..., Any]:
    """Load an export of these tasks, beside images/a.png of 60 by 40 pixels."""
    write_picture(tmp_path / "images" / "a.png")

    def read(*tasks: Any) -> Any:
        (tmp_path / "export.json").write_text(json.dumps(list(tasks)))
        return load_labelstudio(tmp_path, "export.json")

    return read


def test_percents_of_unequal_sides_become_pixels(load: Any) -> None:
    images = load(task(result()))
    assert images.boxes.tolist() == [[6, 10, 36, 18]]
    assert not images.problems


def test_a_turned_rectangle_turns_about_its_upper_left_corner(load: Any) -> None:
    """30 by 8 pixels from (6, 10): a quarter turn clockwise goes down and to the left."""
    images = load(task(result(rotation=90, x=50), result(rotation=30)))
    cos, sin = math.cos(math.pi / 6), math.sin(math.pi / 6)
    expected = [6 - 8 * sin, 10, 6 + 30 * cos, 10 + 30 * sin + 8 * cos]
    assert images.boxes[0].tolist() == [22, 10, 30, 40]
    np.testing.assert_allclose(images.boxes[1], expected, rtol=1e-6)


def test_polygons_and_ellipses_become_boxes(load: Any) -> None:
    images = load(
        task(
            result("polygonlabels", points=[[10, 10], [50, 20], [30, 75]]),
            result("ellipselabels", x=50, y=50, radiusX=10, radiusY=25, rotation=90),
        )
    )
    assert images.boxes.tolist() == [[6, 4, 30, 30], [20, 14, 40, 26]]


@pytest.mark.parametrize(
    "address",
    [
        *("/data/upload/1/0aff31c9-a.png", "https://host/some/a.png?X-Amz=1#x", "s3://bucket/path/a.png"),
        *("/data/local-files/?d=images/a.png", "/data/local-files/?d=somewhere%5Ca.png", "a.png", "C:\\x\\a.png"),
        "/data/upload/0aff31c9-0aff31c9-a.png",
    ],
)
def test_an_address_is_the_file_of_its_name(load: Any, tmp_path: Path, write_picture: Write, address: str) -> None:
    if "0aff31c9-0aff31c9" in address:
        (tmp_path / "images" / "a.png").rename(tmp_path / "images" / "0aff31c9-a.png")
    images = load(task(result(), image=address))
    assert images.file_name(0).endswith("a.png")
    assert len(images.boxes) == 1


def test_an_uploads_own_name_comes_before_the_plain_one(load: Any, tmp_path: Path, write_picture: Write) -> None:
    write_picture(tmp_path / "images" / "0aff31c9-a.png", seed=1)
    assert load(task(result())).file_name(0) == "images/0aff31c9-a.png"


def test_which_answer_is_read(load: Any) -> None:
    def answer(x: int, **more: Any) -> dict[str, Any]:
        return {"result": [result(x=x)], "was_cancelled": False} | more

    answers = [answer(10, ground_truth=True), answer(20), answer(30, was_cancelled=True)]
    assert load(task(annotations=answers)).boxes[0, 0] == 6
    assert load(task(annotations=answers[1:])).boxes[0, 0] == 12
    del answers[0]["ground_truth"]
    assert load(task(annotations=answers[:2])).boxes[0, 0] == 12
    old = {"data": {"image": "a.png"}, "completions": answers[:1]}
    assert load(old).boxes[0, 0] == 6


def test_tasks_that_nobody_answered_are_told_and_answered_without_boxes_are_negatives(
    load: Any, tmp_path: Path, write_picture: Write
) -> None:
    write_picture(tmp_path / "images" / "b.png", seed=1)
    write_picture(tmp_path / "images" / "c.png", seed=2)
    images = load(task(result()), task(image="b.png"), task(image="c.png", annotations=[]))
    assert [images.file_name(i) for i in range(len(images))] == ["images/a.png", "images/b.png"]
    assert "1 tasks have no annotation yet" in str(images.problems[0])


def test_every_label_of_a_box_is_a_box(load: Any) -> None:
    images = load(task(result(labels=("cat", "dog", "cat"))))
    assert images.class_names == ("cat", "dog")
    assert images.boxes.tolist() == [[6, 10, 36, 18]] * 2


def test_a_picture_of_another_size_keeps_its_shares(load: Any) -> None:
    """Exports know the size that was shown, and the picture may have been made smaller since."""
    images = load(task(result(sides={"original_width": 600, "original_height": 400})))
    assert images.boxes.tolist() == [[6, 10, 36, 18]]


def test_what_is_no_box_is_told_and_costs_itself_alone(load: Any) -> None:
    images = load(
        task(
            result(),
            {"type": "choices", "value": {"choices": ["good"]}},
            result("keypointlabels", ("eye",)) | {"value": {"x": 1, "y": 2, "keypointlabels": ["eye"]}},
            {"type": "brushlabels", "value": {"rle": [1], "brushlabels": ["cat"]}},
            result(x=float("nan")),
            result(width=None),
            result(labels=()),
            result(labels="cat"),
            result(labels=[None]),
            result(rotation="x"),
            result(rotation=45, sides={}),
            result(sides=SIDES | {"image_rotation": 90}),
            result("polygonlabels", points=[[1], [2, 3], [4, 5]]),
            result("polygonlabels", points=[]),
            "no result",
            result(x=-50, width=10),
        ),
        "no task",
        {"data": {}},
        {"data": {"image": 3}, "annotations": []},
        task(result(), image="../../etc/passwd"),
        task(result(), image="/data/local-files/?d=../../../etc/passwd.png"),
        task(result(), image="http://[bad"),
    )
    assert len(images) == 1
    assert images.boxes.tolist() == [[6, 10, 36, 18]]
    counts = images.problem_counts()
    assert counts["label of other meaning"] == 2
    assert counts["annotation malformed"] == 11 + 3
    assert counts["box outside the image"] == 1
    assert sum(counts.get(kind, 0) for kind in ("name outside the set", "image missing")) == 3


@pytest.mark.parametrize("text", ["", "{}", "[", "[" * 100_000, '{"a": 1}', "null", "[1, 2]", "[]"])
def test_what_is_no_export_is_a_message(tmp_path: Path, text: str) -> None:
    (tmp_path / "export.json").write_text(text)
    with pytest.raises(DataError, match=r"export\.json"):
        load_labelstudio(tmp_path, "export.json")
