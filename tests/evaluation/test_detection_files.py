"""The files an evaluation leaves behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pycocotools.coco import COCO

from detres.evaluation.detection_files import (
    renaming_lines,
    write_comp4,
    write_detections,
    write_ground_truth,
)

GROUND_TRUTH = {
    "images": [{"id": 1, "file_name": "JPEGImages/2007_000027.jpg", "height": 50, "width": 60}],
    "categories": [{"id": 1, "name": "potted plant"}, {"id": 2, "name": "tv/monitor"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [4, 9, 16, 11], "area": 176, "iscrowd": 0}],
}
DETECTIONS = [{"image_id": 1, "category_id": 1, "bbox": [4.0, 9.0, 16.0, 11.5], "score": 0.875}]


def test_comp4_lines_count_pixels_from_one(tmp_path: Path) -> None:
    files = write_comp4(tmp_path, GROUND_TRUTH, DETECTIONS)
    assert [file.name for file in files] == ["comp4_det_test_potted plant.txt", "comp4_det_test_tv_monitor.txt"]
    assert files[0].read_text() == "2007_000027 0.87500000 5.000 10.000 20.000 20.500\n"
    assert files[1].read_text() == ""


def test_every_class_has_a_file_of_its_own_whatever_it_is_called(tmp_path: Path) -> None:
    names = ["a/b", "a:b", "../../up", "x" * 400, "x" * 401, "Cat", "cat", "..", "one\ntwo"]
    categories = [{"id": n, "name": name} for n, name in enumerate(names)]
    found = [DETECTIONS[0] | {"category_id": n, "score": (n + 1) / 10} for n in range(len(names))]
    files = write_comp4(tmp_path / "out", GROUND_TRUTH | {"categories": categories}, found)
    for n, file in enumerate(files):
        assert file.read_text().startswith(f"2007_000027 0.{n + 1}0000000 ")
    assert sorted((tmp_path / "out").iterdir()) == sorted(files)
    assert len({file.name.lower() for file in files}) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    told = renaming_lines(names)
    assert told[0].startswith("8 classes get files of other names: 'a/b' in comp4_det_test_a_b.txt, 'a:b' in comp4_det")
    assert renaming_lines(["person", "potted plant"]) == []


def test_an_image_that_is_called_as_two_lines_is_one(tmp_path: Path) -> None:
    images = [GROUND_TRUTH["images"][0] | {"file_name": "evil\n2007_000027 1.0.jpg"}]
    (file, _) = write_comp4(tmp_path, GROUND_TRUTH | {"images": images}, DETECTIONS)
    assert len(file.read_text().splitlines()) == 1


def test_pycocotools_reads_both_files_as_they_are(tmp_path: Path) -> None:
    truth = COCO(str(write_ground_truth(tmp_path, GROUND_TRUTH)))
    results = truth.loadRes(str(write_detections(tmp_path, DETECTIONS)))
    assert results.loadAnns([1])[0]["bbox"] == [4.0, 9.0, 16.0, 11.5]
    assert json.loads((tmp_path / "ground_truth.json").read_text()) == GROUND_TRUTH


def test_no_detections_are_an_empty_list(tmp_path: Path) -> None:
    assert json.loads(write_detections(tmp_path, []).read_text()) == []


def test_numbers_that_json_has_not_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_detections(tmp_path, [{"score": float("nan")}])
    assert list(tmp_path.iterdir()) == []
