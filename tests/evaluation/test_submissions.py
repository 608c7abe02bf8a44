"""What goes to COCO's and VOC's servers, and what may not."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from detres.errors import DataError
from detres.evaluation.detection_files import write_comp4
from detres.evaluation.submissions import OFFICIAL_CATEGORY_IDS, check_detections, write_submission

IMAGES = [
    {"id": 7, "file_name": "test2017/000000000007.jpg", "height": 50, "width": 60},
    {"id": 9, "file_name": "test2017/000000000009.jpg", "height": 40, "width": 40},
]
TRUTH = {"images": IMAGES, "annotations": [], "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "brush"}]}


def found(image_id: Any = 7, category_id: Any = 90, bbox: Any = (1.0, 2.0, 3.0, 4.0), score: Any = 0.5) -> dict:
    return {"image_id": image_id, "category_id": category_id, "bbox": list(bbox), "score": score}


def test_cocos_server_gets_one_json_in_a_zip_of_its_name(tmp_path: Path) -> None:
    detections = [found(bbox=(1.23456, 2.0, 3.0, 4.0), score=0.123456789), found(category_id=1)]
    file = write_submission(tmp_path, "coco-test-dev2017", TRUTH, detections)
    assert file == tmp_path / "detections_test-dev2017_detres_results.zip"
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["detections_test-dev2017_detres_results.json"]
        content = json.loads(archive.read(archive.namelist()[0]))
    assert content == [found(bbox=(1.23, 2.0, 3.0, 4.0), score=0.1234568), found(category_id=1)]
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_vocs_server_gets_the_devkits_folders_with_the_files_of_comp4(tmp_path: Path) -> None:
    file = write_submission(tmp_path, "voc2012-test", TRUTH, [found()])
    assert file == tmp_path / "results.tgz"
    names = [f"results/VOC2012/Main/comp4_det_test_{name}.txt" for name in ("person", "brush")]
    with tarfile.open(file, "r:gz") as archive:
        assert archive.getnames() == names
        packed = [archive.extractfile(name).read() for name in names]
    assert packed == [path.read_bytes() for path in write_comp4(tmp_path, TRUTH, [found()])]


@pytest.mark.parametrize("name", ["coco-val2017", "voc2012-val", "mine-test", "coco-my_test-dev2017"])
def test_other_sets_have_no_server(tmp_path: Path, name: str) -> None:
    assert write_submission(tmp_path, name, TRUTH, [found()]) is None
    assert not list(tmp_path.iterdir())


def test_no_detections_are_a_submission_too(tmp_path: Path) -> None:
    with zipfile.ZipFile(write_submission(tmp_path, "coco-test2015", TRUTH, [])) as archive:
        assert json.loads(archive.read("detections_test2015_detres_results.json")) == []


def test_coco_has_eighty_categories() -> None:
    assert len(OFFICIAL_CATEGORY_IDS) == 80


def test_a_home_made_files_category_ids_are_refused(tmp_path: Path) -> None:
    truth = TRUTH | {"categories": [{"id": number, "name": str(number)} for number in range(81)]}
    with pytest.raises(DataError, match=r"category ids 0, 12, 26, 29, 30, … are none of COCO's"):
        write_submission(tmp_path, "coco-test-dev2017", truth, [])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (found(image_id=8), "1 × unknown image id, such as 8 (entry 1)"),
        (found(image_id="7"), "1 × unknown image id, such as '7' (entry 1)"),
        (found(category_id=2), "1 × unknown category id, such as 2 (entry 1)"),
        (found(score=1.01), "1 × score outside 0..1, such as 1.01 (entry 1)"),
        (found(score=float("nan")), "1 × score outside 0..1, such as nan (entry 1)"),
        (found(bbox=(0, 0, float("inf"), 1)), "1 × box that is not finite"),
        (found(bbox=(5, 5, -1, 1)), "1 × box with a negative side"),
        (found(bbox=(50, 5, 12, 1)), "1 × box outside its image, such as [50.0, 5.0, 12.0, 1.0] on 60x50 pixels"),
        (found(bbox=(-1.5, 5, 12, 1)), "1 × box outside its image"),
        (found(bbox=(1, 2, 3)), "1 × no entry of image_id, category_id, bbox and score"),
        ({"image_id": 7}, "1 × no entry of image_id, category_id, bbox and score, such as KeyError 'category_id'"),
        (found(image_id=[7]), "1 × no entry of image_id"),
        ("detection", "1 × no entry of image_id"),
    ],
)
def test_every_mistake_is_named_and_nothing_is_written(tmp_path: Path, wrong: Any, told: str) -> None:
    with pytest.raises(DataError) as caught:
        write_submission(tmp_path, "coco-test-dev2017", TRUTH, [found(), wrong])
    assert str(caught.value).startswith("detections_test-dev2017_detres_results: 2 detections do not fit the set of 2")
    assert told in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_corner_may_count_the_last_pixel_as_inside() -> None:
    check_detections([found(bbox=(-1, -1, 62, 52)), found(bbox=(5, 5, 0, 0))], TRUTH, "mine")


def test_all_kinds_are_told_at_once_and_counted() -> None:
    with pytest.raises(DataError) as caught:
        check_detections([found(image_id=1), found(image_id=2), found(score=2)], TRUTH, "mine.json")
    assert str(caught.value).splitlines() == [
        "mine.json: 3 detections do not fit the set of 2 images:",
        "  2 × unknown image id, such as 1 (entry 0)",
        "  1 × score outside 0..1, such as 2.0 (entry 2)",
    ]


def test_coco_takes_a_hundred_of_an_image(tmp_path: Path) -> None:
    write_submission(tmp_path, "coco-test-dev2017", TRUTH, [found()] * 100)
    with pytest.raises(DataError, match=r"1 × images with more than 100 .*max_detections=100, such as 7 with 101"):
        write_submission(tmp_path, "coco-test-dev2017", TRUTH, [found()] * 101 + [found(image_id=9)])
