"""What is wrong with a set that is measured on is refused or told and counted, whatever its format."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detres.config.detection_schema import Config, DataConfig
from detres.config.loading import Layer
from detres.data.data_file import load_data_file
from detres.data.detection.checking import check
from detres.data.detection.datasets import load_dataset
from detres.data.detection.named_splits import absent_names
from detres.data.formats.coco.reading import coco_ground_truth
from detres.errors import DataError
from detres.reporter import SILENT, Reporter
from detres.tasks.detection.evaluated_sets import load_measured, split_to_measure
from detres.tasks.detection.late_fusion import evaluate_files
from detres.tasks.runs.evaluation_places import Asked
from detres.tasks.runs.told_problems import problem_metrics

SIDE, BOX = 60, (10, 20, 30, 40)
NAMES = [f"{number}" for number in range(8)]


def write_coco(root: Path) -> dict[str, Any]:
    images = [{"id": n + 50, "file_name": f"{name}.png", "height": SIDE, "width": SIDE} for n, name in enumerate(NAMES)]
    x1, y1, x2, y2 = BOX
    annotations = [
        {"id": n, "image_id": n + 50, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": 400, "iscrowd": 0}
        for n in range(len(NAMES))
    ]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "cat"}]}
    (root / "test.json").write_text(json.dumps(content))
    return {"format": "coco", "root": str(root), "test": ["test.json:images"]}


def write_voc(root: Path) -> dict[str, Any]:
    (root / "images").rename(root / "JPEGImages")
    (root / "Annotations").mkdir()
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "test.txt").write_text("\n".join(NAMES))
    x1, y1, x2, y2 = BOX
    box = f"<xmin>{x1 + 1}</xmin><ymin>{y1 + 1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
    for name in NAMES:
        thing = f"<object><name>cat</name><bndbox>{box}</bndbox></object>"
        (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{thing}</annotation>")
    return {"format": "voc", "root": str(root), "test": ["test"]}


def write_yolo(root: Path) -> dict[str, Any]:
    (root / "labels").mkdir()
    (root / "data.yaml").write_text("names: [cat]\n")
    (root / "test.txt").write_text("\n".join(f"images/{name}.png" for name in NAMES))
    for name in NAMES:
        (root / "labels" / f"{name}.txt").write_text(f"0 {20 / SIDE} {30 / SIDE} {20 / SIDE} {20 / SIDE}\n")
    return {"format": "yolo", "root": str(root), "test": ["test.txt"]}


FORMATS: dict[str, Callable[[Path], dict[str, Any]]] = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}


@pytest.fixture(params=FORMATS)
def data(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    """Eight grey images with a box each, in one of the formats."""
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    for name in NAMES:
        cv2.imwrite(str(root / "images" / f"{name}.png"), np.full((SIDE, SIDE, 3), 90, np.uint8))
    return FORMATS[request.param](root)


def picture(data: dict[str, Any], name: str) -> Path:
    return next(Path(data["root"]).rglob(f"{name}.png"))


def write_perfect(data: dict[str, Any], folder: Path) -> Path:
    """What a perfect detector finds, with the ground truth beside it, as eval_det leaves both."""
    truth = coco_ground_truth(load_dataset(DataConfig(**data), "test"))
    rows = [{key: a[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9} for a in truth["annotations"]]
    folder.mkdir()
    (folder / "detections.json").write_text(json.dumps(rows))
    return folder


def coco_found_perfectly(folder: Path) -> tuple[Path, dict[str, Any], Path]:
    """The eight images as a COCO set, to be spoilt: its root, how it is named, and what a perfect detector found."""
    root = folder / "set"
    (root / "images").mkdir(parents=True)
    for name in NAMES:
        cv2.imwrite(str(root / "images" / f"{name}.png"), np.full((SIDE, SIDE, 3), 90, np.uint8))
    data = write_coco(root)
    return root, data, write_perfect(data, folder / "found")


def evaluated(data: dict[str, Any], detections: Path, out: Path, **stated: Any) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    layer = Layer("test", {"task": "detection", "data": {**data, **stated}})
    evaluate_files([detections], Asked(layers=[layer], out=out, reporter=Reporter(said.append)))
    return json.loads((out / "metrics.json").read_text()), said


def test_missing_images_are_an_error_that_lists_them_and_names_the_way_out(
    data: dict[str, Any], tmp_path: Path
) -> None:
    detections = write_perfect(data, tmp_path / "found")
    clean, said = evaluated(data, detections, tmp_path / "clean")
    assert clean["mAP50"] == 1.0
    assert (clean["problems"], clean["images_left_out"], clean["images"]) == ({}, 0, 8)
    assert not [line for line in said if line.startswith("warning")]
    for name in ("1", "4", "6"):
        picture(data, name).unlink()
    for stated in ({}, {"strict": None}, {"strict": True}):
        with pytest.raises(DataError) as refused:
            evaluated(data, detections, tmp_path / "refused", **stated)
        message = str(refused.value)
        assert "data.strict=false" in message
        assert [name for name in NAMES if f"/{name}." in message] == ["1", "4", "6"]
    assert not (tmp_path / "refused").exists(), "nothing was begun"


def test_a_folder_without_an_image_that_its_labels_are_of_is_refused_until_stated(tmp_path: Path) -> None:
    root = tmp_path / "set"
    (root / "images").mkdir(parents=True)
    for name in NAMES:
        cv2.imwrite(str(root / "images" / f"{name}.png"), np.full((SIDE, SIDE, 3), 90, np.uint8))
    data = DataConfig(**write_yolo(root) | {"test": ["images"]})
    (root / "images" / "3.png").rename(root / "images" / "3.heic")
    said: list[str] = []
    with pytest.raises(DataError, match=r"1 of its images are missing .*\n.*labels/3\.txt: .*3\.heic lies there"):
        load_measured(data, "test", Reporter(said.append))
    images = load_measured(data.model_copy(update={"strict": False}), "test", Reporter(said.append))
    assert problem_metrics(images.problems) == {"problems": {"image missing": 1}, "images_left_out": 1}
    assert any(line.startswith("warning: 1 × image missing, such as labels/3.txt") for line in said)


def test_what_was_stated_to_be_left_out_is_told_and_counted(data: dict[str, Any], tmp_path: Path) -> None:
    detections = write_perfect(data, tmp_path / "found")
    for name in ("1", "4"):
        picture(data, name).unlink()
    picture(data, "6").write_bytes(b"no image")
    if data["format"] != "coco":
        with pytest.raises(DataError, match="3 are left out, so the numbers may be of other images"):
            evaluated(data, detections, tmp_path / "out", strict=False)
        detections = write_perfect(data, tmp_path / "of five")
        truth = coco_ground_truth(load_dataset(DataConfig(**data, strict=False), "test"))
        (detections / "ground_truth.json").write_text(json.dumps(truth))
    metrics, said = evaluated(data, detections, tmp_path / "out", strict=False)
    assert metrics["problems"] == {"image missing": 2, "image unreadable": 1}
    assert (metrics["images_left_out"], metrics["images"]) == (3, 5)
    assert metrics["mAP50"] == 1.0, "detections on images that are left out are no false alarms"
    warnings = [line for line in said if line.startswith("warning")]
    assert [line.split(",")[0] for line in warnings] == [
        "warning: 2 × image missing",
        "warning: 1 × image unreadable",
    ]


def test_boxes_that_are_left_out_are_told_and_counted(tmp_path: Path) -> None:
    root, data, detections = coco_found_perfectly(tmp_path)
    content = json.loads((root / "test.json").read_text())
    for annotation in content["annotations"][::2]:
        annotation["image_id"] += 1000
    content["annotations"][1]["bbox"] = [5, 5, 0, 9]
    (root / "test.json").write_text(json.dumps(content))
    metrics, said = evaluated(data, detections, tmp_path / "out")
    assert metrics["problems"] == {"unknown image": 4, "box without area": 1}
    assert (metrics["images_left_out"], metrics["images"]) == (0, 8)
    assert "warning: 4 × unknown image, such as test.json: annotation 0" in "\n".join(said)


def test_parts_of_one_set_have_the_problems_of_their_own_images(data: dict[str, Any]) -> None:
    apart = DataConfig(**{**data, "train": data["test"], "test": [], "val_fraction": 0.5})
    root = Path(data["root"])
    for name in NAMES:
        if data["format"] == "yolo":
            with (root / "labels" / f"{name}.txt").open("a") as labels:
                labels.write("0 nowhere\n")
        elif data["format"] == "voc":
            file = root / "Annotations" / f"{name}.xml"
            thing = "<object><name>cat</name><bndbox><xmin>wide</xmin></bndbox></object></annotation>"
            file.write_text(file.read_text().replace("</annotation>", thing))
    if data["format"] == "coco":
        content = json.loads((root / "test.json").read_text())
        content["annotations"] += [{**each, "bbox": [1, 1, 0, 0]} for each in content["annotations"]]
        (root / "test.json").write_text(json.dumps(content))
    train, val = (load_dataset(apart, split) for split in ("train", "val"))
    for part in (train, val):
        assert {Path(each.file).stem for each in part.problems} == {Path(part.file_name(i)).stem for i in range(4)}
    said: list[str] = []
    load_measured(apart, "val", Reporter(said.append), may_lack=True, told=train.problems)
    assert [line.split(" ×")[0] for line in said] == ["warning: 4"], "train's own were said with it"


def test_a_missing_image_is_in_neither_part_of_a_set_and_refused_where_a_part_alone_is_measured(
    data: dict[str, Any],
) -> None:
    """Which images are val goes by how many there are: a part of fewer holds images that were trained on."""
    picture(data, "3").unlink()
    apart = DataConfig(**{**data, "train": data["test"], "test": [], "val_fraction": 0.5})
    said: list[str] = []
    told = load_dataset(apart, "train").problems
    images = load_measured(apart, "val", Reporter(said.append), may_lack=True, told=told)
    assert problem_metrics(images.problems)["images_left_out"] == 1
    assert said == []
    with pytest.raises(DataError, match="missing or cannot be read"):
        load_measured(apart, "val", Reporter(said.append))


def test_metrics_say_how_many_images_a_problem_cost(data: dict[str, Any]) -> None:
    if data["format"] == "voc":
        (Path(data["root"]) / "Annotations" / "3.xml").unlink()
        expected: dict[str, Any] = {"problems": {"annotation missing": 1}, "images_left_out": 1}
    else:
        cv2.imwrite(str(picture(data, "3")), np.zeros((5, 9, 3), np.uint8))
        costs = data["format"] == "coco"
        expected = {"problems": {"size disagrees": 1} if costs else {}, "images_left_out": int(costs)}
    images = load_measured(DataConfig(**data), "test", SILENT)
    assert problem_metrics(images.problems) == expected


def test_a_test_split_that_is_named_and_not_there_gives_way_to_val(data: dict[str, Any]) -> None:
    absent = {"coco": "absent.json", "voc": "absent", "yolo": "images/absent"}[data["format"]]
    config = Config(data=DataConfig(**{**data, "val": data["test"], "test": [absent]}))
    assert absent_names(config.data, config.data.test) == [absent]
    assert absent_names(config.data, config.data.val) == []
    said: list[str] = []
    assert split_to_measure(config, None, Reporter(said.append)) == "val"
    assert said == [f"warning: data.test names {absent}, which is not there; val is taken instead"]
    assert split_to_measure(config, "test", Reporter(said.append)) == "test", "what was asked for is not replaced"
    alone = Config(data=DataConfig(**{**data, "test": [absent]}))
    assert split_to_measure(alone, None, Reporter(said.append)) == "test"
    assert len(said) == 1


def test_an_own_yaml_may_state_strict(tmp_path: Path) -> None:
    for stated, expected in (
        ("", None),
        ("strict: false\n", False),
        ("strict: true\n", True),
        ("strict: null\n", None),
    ):
        (tmp_path / "data.yaml").write_text(f"format: coco\ntest: test.json\n{stated}")
        assert load_data_file(tmp_path / "data.yaml").strict is expected


def test_detections_by_a_repeated_categorys_further_id_are_of_its_class(tmp_path: Path) -> None:
    root, data, detections = coco_found_perfectly(tmp_path)
    content = json.loads((root / "test.json").read_text())
    content["categories"] += [{"id": 2, "name": "dog"}, {"id": 7, "name": "cat"}]
    (root / "test.json").write_text(json.dumps(content))
    rows = json.loads((detections / "detections.json").read_text())
    for row in rows[::2]:
        row["category_id"] = 7
    (detections / "detections.json").write_text(json.dumps(rows))
    metrics, _ = evaluated(data, detections, tmp_path / "out")
    assert (metrics["mAP50"], metrics["problems"]) == (1.0, {"category repeated": 1})


def test_boxes_that_are_found_again_by_mending_count_in_the_figures(tmp_path: Path) -> None:
    """Every other image_id as text: to leave their boxes out would call half of what is right a false alarm."""
    root, data, detections = coco_found_perfectly(tmp_path)
    content = json.loads((root / "test.json").read_text())
    for annotation in content["annotations"][::2]:
        annotation["image_id"] = str(annotation["image_id"])
    (root / "test.json").write_text(json.dumps(content))
    metrics, _ = evaluated(data, detections, tmp_path / "out")
    assert (metrics["mAP50"], metrics["AP"], metrics["images"], metrics["images_left_out"]) == (1.0, 1.0, 8, 0)
    assert metrics["problems"] == {}
    assert len(load_dataset(DataConfig(**data), "test").boxes) == 8


def one_image_set(root: Path, *annotations: dict[str, Any]) -> dict[str, Any]:
    (root / "images").mkdir(parents=True)
    cv2.imwrite(str(root / "images" / "0.png"), np.full((SIDE, SIDE, 3), 90, np.uint8))
    images = [{"id": 50, "file_name": "0.png", "height": SIDE, "width": SIDE}]
    content = {"images": images, "annotations": list(annotations), "categories": [{"id": 1, "name": "cat"}]}
    (root / "test.json").write_text(json.dumps(content))
    return {"format": "coco", "root": str(root), "test": ["test.json:images"]}


@pytest.mark.parametrize("mark", ["iscrowd", "ignore"])
def test_a_set_whose_every_box_is_to_be_ignored_says_that_no_figure_is_defined(tmp_path: Path, mark: str) -> None:
    box = {"id": 1, "image_id": 50, "category_id": 1, "bbox": [1, 2, 30, 40], mark: 1}
    data = one_image_set(tmp_path / "set", box)
    metrics, said = evaluated(data, write_perfect(data, tmp_path / "found"), tmp_path / "out")
    assert (metrics["problems"], metrics["images_left_out"]) == ({"nothing to measure": 1}, 0)
    assert [line for line in said if "all 1 boxes are to be ignored" in line]
    (report,) = check(DataConfig(**data))
    assert [problem.kind for problem in report.problems] == ["nothing to measure"]


@pytest.mark.parametrize("wrong", [{"image_id": 999}, {"bbox": None}, {"bbox": [1, 2, 0, 4]}, {"category_id": 7}])
def test_a_set_of_which_no_annotation_can_be_used_is_not_taken_for_one_without(
    tmp_path: Path, wrong: dict[str, Any]
) -> None:
    """A test-dev has no annotations; where all that are there are broken, there is something to mend."""
    data = one_image_set(tmp_path / "set", {"id": 1, "image_id": 50, "category_id": 1, "bbox": [1, 2, 3, 4]} | wrong)
    with pytest.raises(DataError, match="things are annotated, and none of them can be used"):
        load_measured(DataConfig(**data), "test", SILENT)
    (report,) = check(DataConfig(**data))
    assert report.problems[-1].kind == "nothing to measure"


def test_a_set_without_annotations_is_one_and_said(tmp_path: Path) -> None:
    data = one_image_set(tmp_path / "set")
    assert len(load_measured(DataConfig(**data), "test", SILENT)) == 1
