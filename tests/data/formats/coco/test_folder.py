"""--data FOLDER where nobody wrote a data.yaml, only COCO's files."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.data_file import load_classification_file, load_data_file, task_of_data_file
from detres.data.detection.datasets import load_dataset
from detres.data.formats.coco.folder import coco_splits, is_coco_folder, recognize_coco
from detres.errors import DataError


@pytest.fixture
def write_set(tmp_path: Path, write_picture: Callable[..., Path]) -> Callable[..., Path]:
    """Write the same ten images' annotation file under these names."""

    def write(*names: str, encoding: str = "utf-8", more: int = 0) -> Path:
        for number in range(10):
            write_picture(tmp_path / "images" / f"{number}.png", seed=number)
        content = {
            "info": {"contributor": "x"},
            "images": [{"id": n, "file_name": f"{n}.png"} for n in range(10)],
            "annotations": [{"image_id": n, "category_id": 1, "bbox": [1, 1, 5, 5]} for n in range(10)],
            "more": "x" * more,
            "categories": [{"id": 1, "name": "cat"}],
        }
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(json.dumps(content, indent=1).encode(encoding))
        return tmp_path

    return write


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["whatever.json"], {"train": "whatever.json"}),
        (["train.json", "valid.json"], {"train": "train.json", "val": "valid.json"}),
        (
            ["annotations/instances_train2017.json", "annotations/person_keypoints_train2017.json", "a/my_test.json"],
            {"train": "annotations/instances_train2017.json", "test": "a/my_test.json"},
        ),
        (["train/labels.json", "val/labels.json"], {"train": "train/labels.json", "val": "val/labels.json"}),
    ],
)
def test_files_are_told_by_the_words_of_their_names(
    write_set: Callable[..., Path], names: list[str], splits: dict[str, str]
) -> None:
    assert coco_splits(write_set(*names)) == {split: (name,) for split, name in splits.items()}


def test_such_a_folder_is_a_detection_set_ready_for_training(write_set: Callable[..., Path]) -> None:
    folder = write_set("whatever.json")
    assert task_of_data_file(folder) == "detection"
    data = load_data_file(folder)
    assert (data.format, data.val_fraction) == ("coco", 0.1)
    assert [len(load_dataset(data, split)) for split in ("train", "val")] == [9, 1]


def test_files_that_are_not_told_apart_are_asked_about(write_set: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"a\.json, b\.json.*write a yaml such as"):
        coco_splits(write_set("a.json", "b.json"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_is_known_by_its_ends_in_any_unicode(write_set: Callable[..., Path], encoding: str) -> None:
    assert is_coco_folder(write_set("set.json", encoding=encoding, more=300_000))


def test_other_jsons_make_no_coco_folder(write_set: Callable[..., Path], tmp_path: Path) -> None:
    folder = write_set()
    (folder / "classes.json").write_text('{"0": ["n01440764", "tench"]}')
    (folder / "results.json").write_text('{"images": [], "config": {}}')
    (folder / "empty.json").write_text("")
    (folder / "folder.json").mkdir()
    assert not is_coco_folder(folder)
    assert task_of_data_file(folder) == "classification"


@pytest.mark.parametrize("order", [["images", "categories", "annotations"], ["annotations", "categories", "images"]])
def test_long_files_are_known_whatever_the_order_of_their_keys(
    write_set: Callable[..., Path], tmp_path: Path, order: list[str]
) -> None:
    folder = write_set()
    box = {"area": 25, "bbox": [1, 1, 5, 5], "category_id": 1, "id": 1, "image_id": 1}
    content = {
        "images": [{"id": n, "file_name": f"{n}.png"} for n in range(5000)],
        "annotations": [box] * 5000,
        "categories": [{"id": 1, "name": "cat"}],
    }
    ending = {"info": {"description": "x" * 70_000}}
    (folder / "result.json").write_text(json.dumps({key: content[key] for key in order} | ending))
    assert is_coco_folder(folder)
    assert task_of_data_file(folder) == "detection"


def test_a_folder_without_annotation_files_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no COCO annotation file was found"):
        coco_splits(tmp_path)


def test_a_folder_of_images_alone_is_no_set_of_the_one_class_images(write_set: Callable[..., Path]) -> None:
    with pytest.raises(DataError, match=r"only class would be images.*no annotation file"):
        load_classification_file(write_set())


def test_an_annotation_file_is_the_split_that_its_name_tells(write_set: Callable[..., Path]) -> None:
    folder = write_set("images/labels.json", "instances_valid.json")
    for name, split in (("images/labels.json", "train"), ("instances_valid.json", "val")):
        found = recognize_coco(folder / name)
        assert found is not None
        assert {"train": found.train, "val": found.val}[split] == (Path(name).name,)
    assert recognize_coco(folder / "images" / "0.png") is None


def test_a_folder_with_a_json_an_image_is_looked_at_so_far(write_set: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(150):
        (tmp_path / f"{number:03}.json").write_text("{}")
    assert not is_coco_folder(write_set("zz.json"))
    assert is_coco_folder(write_set("000.json"))


def test_roboflows_splits_are_its_folders(write_set: Callable[..., Path]) -> None:
    folder = write_set("train/_annotations.coco.json", "valid/_annotations.coco.json")
    for place in (folder, folder / "valid" / "_annotations.coco.json"):
        found = recognize_coco(place)
        assert found is not None
        assert (found.root, found.train, found.val, found.test) == (
            *(folder, ("train/_annotations.coco.json:train",), ("valid/_annotations.coco.json:valid",), ()),
        )
