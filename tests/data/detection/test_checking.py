import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from detres.config.detection_schema import DataConfig
from detres.data.data_file import load_data_file
from detres.data.detection import checking
from detres.data.detection.checking import DataReport, check
from detres.data.detection.datasets import load_dataset, load_split
from detres.data.detection.unusable_splits import UnusableSplit
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.errors import DataError


def _config(root: Path, **more) -> DataConfig:
    return DataConfig(root=str(root), test=("annotations/instances_val.json",), **more)


def test_a_report_counts_what_is_there_and_what_is_wrong(coco_root: Path) -> None:
    file = coco_root / "val" / "12.png"
    data = file.read_bytes()
    file.write_bytes(data[: data.index(b"IDAT") + 4])
    (report,) = check(_config(coco_root, strict=True))
    assert (report.split, report.images, report.boxes, report.ignored) == ("test", 3, 4, 1)
    assert report.empty_images == 1
    assert report.boxes_per_class == {"car": 2, "toothbrush": 1}
    assert report.most_boxes == 3
    kinds = [problem.kind for problem in report.problems]
    assert len(kinds) == 8
    assert report.problems[-1].file == "val/12.png"
    assert kinds[-1] == "image unreadable"


def test_an_image_that_breaks_off_is_told_and_kept_with_its_boxes_as_training_keeps_it(
    coco_root: Path, tmp_path: Path
) -> None:
    file = coco_root / "val" / "12.png"
    file.write_bytes(file.read_bytes()[:-200])
    (report,) = check(_config(coco_root), fix=tmp_path / "fixed")
    assert str(report.problems[-1]).startswith("image breaks off: val/12.png: its file ends before its last pixels")
    before, after = load_dataset(_config(coco_root), "test"), load_dataset(load_data_file(tmp_path / "fixed"), "test")
    assert len(after) == len(before) == report.images
    np.testing.assert_array_equal(before.boxes, after.boxes)


def test_the_cleaned_copy_has_nothing_wrong_and_is_ready_for_use(coco_root: Path, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed"
    check(_config(coco_root), fix=fixed)
    config = load_data_file(fixed / "data.yaml").model_copy(update={"strict": True})
    before, after = load_dataset(_config(coco_root), "test"), load_dataset(config, "test")
    assert not after.problems
    np.testing.assert_array_equal(before.boxes, after.boxes)
    np.testing.assert_array_equal(before.ignore, after.ignore)
    np.testing.assert_array_equal(before.areas, after.areas)
    with pytest.raises(DataError, match="is there already"):
        check(_config(coco_root), fix=fixed)


def test_difficult_stays_difficult_in_the_cleaned_copy(voc_root: Path, tmp_path: Path) -> None:
    check(DataConfig(format="voc", root=str(voc_root), train=("train",)), fix=tmp_path / "fixed")
    dataset = load_dataset(load_data_file(tmp_path / "fixed"), "train")
    assert (dataset.ignore.tolist(), dataset.crowd.tolist()) == ([False, True], [False, False])


@pytest.fixture
def write_split(tmp_path: Path, write_picture: Callable[..., Path]) -> Callable[..., None]:
    """Write NAME.json with an image of its own, and these keys laid over its one annotation."""

    def write(name: str, **more: object) -> None:
        write_picture(tmp_path / f"{name}.png", seed=len(name))
        box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 9, 9], "iscrowd": 0}
        content = {
            "images": [{"id": 1, "file_name": f"{name}.png"}],
            "annotations": [box | more],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(content))

    return write


def test_a_train_that_teaches_nothing_is_reported_with_its_problems(
    write_split: Callable[..., None], tmp_path: Path
) -> None:
    data = DataConfig(root=str(tmp_path), train=("train.json",))
    for more, kinds in (
        ({"iscrowd": 1}, ["nothing to learn from"]),
        ({"category_id": 9}, ["unknown class", "nothing to learn from"]),
        ({"image_id": 9}, ["unknown image", "nothing to learn from"]),
    ):
        write_split("train", **more)
        (report,) = check(data)
        assert [problem.kind for problem in report.problems] == kinds
    write_split("train", iscrowd=1)
    (report,) = check(data.model_copy(update={"difficult": "positive"}))
    assert not report.problems


def test_a_split_that_is_not_there_does_not_hide_the_others(write_split: Callable[..., None], tmp_path: Path) -> None:
    for name in ("train", "val"):
        write_split(name)
    data = DataConfig(root=str(tmp_path), train=("train.json",), val=("val.json",), test=("test.json",))
    train, val, test = check(data, fix=tmp_path / "fixed")
    assert isinstance(train, DataReport)
    assert isinstance(val, DataReport)
    assert isinstance(test, UnusableSplit)
    assert "there is no such annotation file" in test.reason
    fixed = load_data_file(tmp_path / "fixed")
    assert (len(fixed.train), len(fixed.val), len(fixed.test)) == (1, 1, 0)
    with pytest.raises(DataError, match="there is no such annotation file"):
        check(DataConfig(root=str(tmp_path), test=("test.json",)))


def test_the_cleaned_copy_is_without_boxes_that_stand_twice(write_split: Callable[..., None], tmp_path: Path) -> None:
    write_split("train")
    content = json.loads((tmp_path / "train.json").read_text())
    content["annotations"] *= 3
    (tmp_path / "train.json").write_text(json.dumps(content))
    (report,) = check(DataConfig(root=str(tmp_path), train=("train.json",)), fix=tmp_path / "fixed")
    assert [problem.kind for problem in report.problems] == ["box stands twice"] * 2
    fixed = load_dataset(load_data_file(tmp_path / "fixed"), "train")
    assert (len(fixed.boxes), fixed.problems) == (1, ())


def test_images_of_several_folders_are_found_by_the_cleaned_copy(
    write_split: Callable[..., None], tmp_path: Path, write_picture: Callable[..., Path]
) -> None:
    """The set's file names lead out of the folder of its json, which only its yaml may."""
    write_split("train")
    write_picture(tmp_path / "deep" / "in" / "b.png")
    content = json.loads((tmp_path / "train.json").read_text())
    content["images"].append({"id": 2, "file_name": "deep/in/b.png"})
    (tmp_path / "train.json").write_text(json.dumps(content))
    check(DataConfig(root=str(tmp_path), train=("train.json",)), fix=tmp_path / "fixed")
    fixed = load_dataset(load_data_file(tmp_path / "fixed"), "train")
    assert [fixed.path(i).is_file() for i in range(len(fixed))] == [True, True]
    assert not fixed.problems


def test_the_cleaned_copy_can_be_moved_along_with_its_pictures(
    write_split: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_split("train")
    check(DataConfig(root=str(tmp_path), train=("train.json",)), fix=tmp_path / "fixed")
    assert str(tmp_path) not in (tmp_path / "fixed" / "data.yaml").read_text()
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    tmp_path.rename(moved)
    fixed = load_dataset(load_data_file(moved / "fixed" / "data.yaml"), "train")
    assert (len(fixed), fixed.problems) == (1, ())
    assert fixed.path(0).samefile(moved / "train.png")
    monkeypatch.chdir(moved)
    check(DataConfig(root=".", train=("train.json",)), fix=Path("again"))
    assert load_dataset(load_data_file("again"), "train").path(0).is_file()


def test_a_cleaned_copy_behind_a_link_still_finds_its_pictures(
    write_split: Callable[..., None], tmp_path: Path
) -> None:
    """From behind it `..` would lead to where the link leads."""
    write_split("train")
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    check(DataConfig(root=str(tmp_path), train=("train.json",)), fix=tmp_path / "link" / "fixed")
    for folder in (tmp_path / "link" / "fixed", tmp_path / "far" / "away" / "fixed"):
        assert load_dataset(load_data_file(folder), "train").path(0).is_file()


def test_a_set_whose_images_are_all_broken_is_not_written(write_split: Callable[..., None], tmp_path: Path) -> None:
    write_split("train")
    file = tmp_path / "train.png"
    data = file.read_bytes()
    file.write_bytes(data[: data.index(b"IDAT") + 4])
    with pytest.raises(DataError, match="nothing to write"):
        check(DataConfig(root=str(tmp_path), train=("train.json",)), fix=tmp_path / "fixed")


def test_a_config_without_splits_is_refused() -> None:
    with pytest.raises(DataError, match="names no split"):
        check(DataConfig())


def test_a_class_that_training_has_no_box_of_is_told(tmp_path: Path, write_picture) -> None:
    for split, names in (("train", ["cat"]), ("val", ["cat", "cow"])):
        write_picture(tmp_path / split / "a.png", seed=len(names))
        objects = [VocObject(name, (0, 0, 10, 20 + place)) for place, name in enumerate(names)]
        write_annotation(tmp_path / split / "a.xml", "a.png", (40, 60), objects)
    data = DataConfig(format="voc", root=str(tmp_path), train=("train",), val=("val",))
    train, val = check(data)
    assert [problem.kind for problem in train.problems] == []
    assert [(p.kind, p.detail.split(",")[0]) for p in val.problems] == [
        ("class not learned", f"{tmp_path.name}-train has no box of cow")
    ]
    swapped = data.model_copy(update={"train": ("val",), "val": ("train",)})
    assert [report.problems for report in check(swapped)] == [(), ()]


def test_a_picture_that_looks_as_one_that_is_learned_is_told_once(coco_root: Path, monkeypatch) -> None:
    train = val = load_split(_config(coco_root), "test")
    monkeypatch.setattr(checking, "looking_alike", lambda learned, measured: {0: 1})
    (problem,) = checking.resembling(train, val, set())
    assert (problem.kind, problem.file) == ("looks like a learned one", val.file_name(0))
    assert train.file_name(1) in problem.detail
    assert checking.resembling(train, val, {val.file_name(0)}) == []


def test_a_val_that_is_train_is_one_line(coco_root: Path) -> None:
    data = _config(coco_root, train=("annotations/instances_val.json",))
    train, test = check(data)
    assert isinstance(train, DataReport)
    assert isinstance(test, DataReport)
    (told,) = [problem for problem in test.problems if problem.kind == "image repeated"]
    assert "all of its 3 images are learned from, in " in told.detail
    assert not [problem for problem in train.problems if problem.kind == "image repeated"]
