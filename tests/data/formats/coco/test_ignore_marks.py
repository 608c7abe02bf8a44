"""What is ignored is ignored by every reader of an annotation alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detres.data.formats.coco.ignore_marks import ignored_as
from detres.data.formats.coco.reading import coco_ground_truth, load_coco
from detres.errors import DataError
from detres.evaluation.coco_ap import coco_metrics
from detres.evaluation.flat_boxes import flat_objects

MARKS: tuple[tuple[dict[str, Any], str], ...] = (
    ({}, "nothing"),
    ({"iscrowd": 0, "ignore": 0, "difficult": 0}, "nothing"),
    ({"iscrowd": "0", "difficult": "0"}, "nothing"),
    ({"iscrowd": "false", "ignore": None}, "nothing"),
    ({"iscrowd": 1}, "crowd"),
    ({"iscrowd": "1"}, "crowd"),
    ({"iscrowd": True}, "crowd"),
    ({"ignore": 1}, "difficult"),
    ({"difficult": "1"}, "difficult"),
    ({"iscrowd": 1, "difficult": 1}, "difficult"),
)


@pytest.mark.parametrize(("marks", "expected"), MARKS)
def test_a_mark_means_the_same_as_number_and_as_text(marks: dict[str, Any], expected: str) -> None:
    assert ignored_as(marks) == expected


@pytest.mark.parametrize("key", ["iscrowd", "ignore", "difficult"])
@pytest.mark.parametrize("value", ["maybe", 2, [0], float("nan")])
def test_what_is_no_flag_is_no_mark(key: str, value: Any) -> None:
    assert ignored_as({key: value}) is None
    annotation = {"id": 5, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], key: value}
    truth = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "x"}], "annotations": [annotation]}
    with pytest.raises(DataError, match=f"annotation 5: .* got {key}"):
        flat_objects(truth)


def test_a_file_and_the_set_read_from_it_have_the_same_figures(tmp_path: Path) -> None:
    """Every mark once in a file: read as it is, and by way of the set that eval_det measures on."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 400, 3), np.uint8))
    truth: dict[str, Any] = {
        "images": [{"id": 3, "file_name": "a.png", "height": 40, "width": 400}],
        "categories": [{"id": 1, "name": "x"}],
        "annotations": [
            {"id": n, "image_id": 3, "category_id": 1, "bbox": [30.0 * n, 5.0, 20.0, 20.0], "area": 400.0} | marks
            for n, (marks, _) in enumerate(MARKS)
        ],
    }
    (tmp_path / "set.json").write_text(json.dumps(truth))
    read = coco_ground_truth(load_coco(tmp_path, "set.json"))
    expected = [how != "nothing" for _, how in MARKS]
    assert flat_objects(truth).ignore.tolist() == flat_objects(read).ignore.tolist() == expected
    found = [{"image_id": 3, "category_id": 1, "bbox": a["bbox"], "score": 0.5} for a in truth["annotations"]]
    figures = coco_metrics(truth, found)
    assert figures == coco_metrics(read, found)
    assert figures["AP"] == pytest.approx(1.0)
