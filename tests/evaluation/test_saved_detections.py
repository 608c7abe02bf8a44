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
