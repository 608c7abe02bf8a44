"""Detections that some detector left in a file, read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from detres.errors import DataError
from detres.evaluation.detection_files import write_detections, write_ground_truth
from detres.evaluation.saved_detections import read_detections

GROUND_TRUTH = {
    "images": [
        {"id": 8, "file_name": "JPEGImages/b.jpg", "height": 50, "width": 60},
        {"id": 3, "file_name": "JPEGImages/a.jpg", "height": 50, "width": 60},
    ],
    "categories": [{"id": 1, "name": "cat"}, {"id": 7, "name": "owl"}],
    "annotations": [],
}


def row(image_id: Any = 8, category_id: Any = 7, bbox: Any = (1, 2, 3, 4), score: Any = 0.5) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": category_id, "bbox": bbox, "score": score}


def written(folder: Path, content: Any) -> Path:
    (folder / "detections.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return folder / "detections.json"


def test_rows_come_by_image_and_within_it_as_they_stand_in_the_file(tmp_path: Path) -> None:
    rows = [row(image_id=3, score=0.1), row(score=0.2), row(image_id=3, score=0.3, category_id=1, bbox=[-9, 0, 99, 4])]
    write_detections(tmp_path, rows)
    for place in (tmp_path, tmp_path / "detections.json"):
        found = read_detections(place, GROUND_TRUTH)
        assert found.image.tolist() == [0, 1, 1]
        assert found.label.tolist() == [1, 1, 0]
        assert found.scores.tolist() == [0.2, 0.1, 0.3]
        assert found.boxes.tolist() == [[1, 2, 3, 4], [1, 2, 3, 4], [-9, 0, 99, 4]]


def test_a_file_without_detections_is_one(tmp_path: Path) -> None:
    found = read_detections(written(tmp_path, []), GROUND_TRUTH)
    assert found.boxes.shape == (0, 4)
    assert len(found.image) == len(found.label) == len(found.scores) == 0


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[{", "this is no JSON"),
        (f"{json.dumps(row())}\n{json.dumps(row())}\n", "line 2 column 1 (char 70); join its lines into one list"),
        ({"annotations": []}, "it holds dict, expected a list of objects with image_id"),
        ([3], "1 × no entry of image_id, category_id, bbox and score"),
        ([{"image_id": 8, "category_id": 7, "score": 0.5}], "KeyError 'bbox'"),
        ([row(bbox=[1, 2, 3])], "no entry of image_id, category_id, bbox and score"),
        ([row(bbox=[1, 2, -3, 4])], "1 × box with a negative side, such as [1.0, 2.0, -3.0, 4.0]"),
        ([row(bbox=[1, 2, float("inf"), 4])], "box that is not finite"),
        ([row(score=float("nan"))], "score outside 0..1, such as nan"),
        ([row(), row(score=2.5)], "such as 2.5 (entry 1)"),
        ([row(image_id=1), row(image_id=2)], "2 × unknown image id, such as 1 (entry 0)"),
        ([row(category_id=2)], "1 × unknown category id, such as 2 (entry 0)"),
    ],
)
def test_what_is_no_file_of_detections_is_refused(tmp_path: Path, content: Any, expected: str) -> None:
    file = written(tmp_path, content)
    with pytest.raises(DataError) as refused:
        read_detections(file, GROUND_TRUTH)
    assert str(refused.value).startswith(f"{file}: ")
    assert expected in str(refused.value)


@pytest.mark.parametrize(
    "entry",
    [
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5, "x": '
        + "[" * 100_000
        + "]" * 100_000
        + "}",
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, 1' + "0" * 400 + '], "score": 0.5}',
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, 1e400], "score": 0.5}',
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, NaN], "score": 0.5}',
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, 4], "score": -Infinity}',
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 1' + "0" * 400 + "}",
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 1' + "0" * 5000 + "}",
        '{"image_id": 1' + "0" * 4000 + ', "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5}',
        '{"image_id": true, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5}',
        '{"image_id": [8], "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.5}',
        '{"image_id": null, "category_id": {"id": 7}, "bbox": [1, 2, 3, 4], "score": 0.5}',
        '{"image_id": 8, "category_id": 7, "bbox": "1234", "score": 0.5}',
        '{"image_id": 8, "category_id": 7, "bbox": {"1": 1, "2": 1, "3": 1, "4": 1}, "score": 0.5}',
        '{"image_id": 8, "category_id": 7, "bbox": [true, 2, 3, 4], "score": 0.5}',
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, 4], "score": "nan"}',
        '{"image_id": 8, "category_id": 7, "bbox": [1, 2, 3, [4]], "score": null}',
        '"detection"',
        "null",
    ],
    ids=str,
)
def test_whatever_an_entry_holds_ends_in_one_message_of_its_file(tmp_path: Path, entry: str) -> None:
    for content in (f"[{entry}]", entry):
        file = written(tmp_path, content)
        with pytest.raises(DataError) as refused:
            read_detections(file, GROUND_TRUTH)
        assert str(refused.value).startswith(f"{file}: ")
        assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"[" * 200_000, b'{"a":' * 200_000])
def test_what_is_no_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "detections.json").write_bytes(content)
    with pytest.raises(DataError, match="this is no JSON"):
        read_detections(tmp_path, GROUND_TRUTH)


def test_ids_and_numbers_as_text_are_what_they_say(tmp_path: Path) -> None:
    rows = [
        row(image_id="3", category_id="7", bbox=["1", "2.5", 3, 4], score="0.25"),
        row(image_id=8.0, category_id=1.0),
    ]
    found = read_detections(written(tmp_path, rows), GROUND_TRUTH)
    assert found.image.tolist() == [0, 1]
    assert found.label.tolist() == [0, 1]
    assert found.boxes.tolist() == [[1, 2, 3, 4], [1, 2.5, 3, 4]]
    assert found.scores.tolist() == [0.5, 0.25]
    named = GROUND_TRUTH | {"images": [image | {"id": str(image["id"])} for image in GROUND_TRUTH["images"]]}
    assert read_detections(written(tmp_path, [row(image_id=3)]), named).image.tolist() == [1]
    both = GROUND_TRUTH | {"images": [*GROUND_TRUTH["images"], {"id": "3", "file_name": "c", "height": 9, "width": 9}]}
    assert read_detections(written(tmp_path, [row(image_id=3), row(image_id="3")]), both).image.tolist() == [1, 2]
    with pytest.raises(DataError, match=r"unknown image id, such as 3\.5"):
        read_detections(written(tmp_path, [row(image_id=3.5), row(image_id="03")]), both)


def test_further_ids_of_a_category_mean_it(tmp_path: Path) -> None:
    file = written(tmp_path, [row(category_id=9), row(category_id="9"), row(category_id=9.0), row(category_id=1)])
    assert read_detections(file, GROUND_TRUTH, other_ids={9: 7}).label.tolist() == [1, 1, 1, 0]
    with pytest.raises(DataError, match="1 × unknown category id, such as 2"):
        read_detections(written(tmp_path, [row(category_id=2)]), GROUND_TRUTH, other_ids={9: 7})


def test_detections_on_images_that_were_left_out_are_left_out_too(tmp_path: Path) -> None:
    file = written(tmp_path, [row(image_id=5), row(), row(image_id=6)])
    assert read_detections(file, GROUND_TRUTH, left_out=2).image.tolist() == [0]
    with pytest.raises(DataError, match="2 × unknown image id"):
        read_detections(file, GROUND_TRUTH, left_out=1)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"detections\.json: there is no such file"):
        read_detections(tmp_path, GROUND_TRUTH)


def test_a_file_of_other_images_with_the_same_numbers_is_known_by_what_lies_beside_it(tmp_path: Path) -> None:
    file = written(tmp_path, [row()])
    moved = [image | {"file_name": f"/elsewhere/{Path(image['file_name']).name}"} for image in GROUND_TRUTH["images"]]
    write_ground_truth(tmp_path, GROUND_TRUTH | {"images": moved[:1]})
    assert len(read_detections(file, GROUND_TRUTH).scores) == 1
    others = [image | {"file_name": "c.jpg"} for image in GROUND_TRUTH["images"][:1]]
    write_ground_truth(tmp_path, GROUND_TRUTH | {"images": others})
    with pytest.raises(DataError, match=r"another set: .* such as image c\.jpg as 8\. Evaluate on"):
        read_detections(file, GROUND_TRUTH)
    swapped = [{"id": 7, "name": "cat"}, {"id": 1, "name": "owl"}]
    write_ground_truth(tmp_path, GROUND_TRUTH | {"categories": swapped})
    with pytest.raises(DataError, match="such as class cat as 7"):
        read_detections(file, GROUND_TRUTH)
