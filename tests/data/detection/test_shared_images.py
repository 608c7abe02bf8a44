"""An image that is learned from and measured on."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.config.detection_schema import DataConfig
from detres.data.detection.checking import check
from detres.data.detection.datasets import load_dataset
from detres.data.detection.shared_images import shared_images


@pytest.fixture
def two_splits(tmp_path: Path, write_picture: Callable[..., Path]) -> DataConfig:
    """train has a.png and b.png; val a copy, a link, a hard link and the same file of a.png, and one of its own."""
    for seed, name in enumerate(("train/a.png", "train/b.png", "val/own.png")):
        write_picture(tmp_path / name, seed=seed)
    original, val = tmp_path / "train" / "a.png", tmp_path / "val"
    shutil.copy(original, val / "copy.png")
    os.symlink(original, val / "link.png")
    os.link(original, val / "hard.png")
    names = {"train": ["a.png", "b.png"], "val": ["copy.png", "link.png", "hard.png", "../train/a.png", "own.png"]}
    for split, files in names.items():
        content = {
            "images": [{"id": n, "file_name": name} for n, name in enumerate(files)],
            "annotations": [{"image_id": n, "category_id": 1, "bbox": [1, 1, 5, 5]} for n in range(len(files))],
            "categories": [{"id": 1, "name": "cat"}],
        }
        (tmp_path / f"{split}.json").write_text(json.dumps(content))
    return DataConfig(root=str(tmp_path), train=("train.json",), val=("val.json",))


def test_the_same_file_is_found_by_any_name_and_a_copy_by_its_bytes(two_splits: DataConfig) -> None:
    train, val = load_dataset(two_splits, "train"), load_dataset(two_splits, "val")
    same = "the same file as train/a.png of coco-train"
    assert [(problem.file, problem.detail) for problem in shared_images(train, val)] == [
        ("val/link.png", same),
        ("val/hard.png", same),
        ("train/a.png", same),
    ]
    copied = shared_images(train, val, contents=True)[0]
    assert str(copied) == "image repeated: val/copy.png: the same bytes as train/a.png of coco-train"
    assert not shared_images(train, val.subset([4]), contents=True)


def test_check_data_counts_them_with_the_split_that_is_measured(two_splits: DataConfig) -> None:
    train, val = check(two_splits)
    assert not train.problems
    assert [problem.kind for problem in val.problems] == ["image repeated"] * 4


def test_parts_of_one_set_share_a_file_that_it_lists_twice(two_splits: DataConfig, tmp_path: Path) -> None:
    content = json.loads((tmp_path / "train.json").read_text())
    content["images"] = [{"id": n, "file_name": "a.png"} for n in range(2)]
    (tmp_path / "train.json").write_text(json.dumps(content))
    data = DataConfig(root=str(tmp_path), train=("train.json",), val_fraction=0.5)
    assert len(shared_images(load_dataset(data, "train"), load_dataset(data, "val"))) == 1


def test_joined_splits_that_share_a_file_are_told(two_splits: DataConfig) -> None:
    joined = load_dataset(two_splits.model_copy(update={"train": ("train.json", "val.json")}), "train")
    (problem,) = joined.problems
    assert str(problem) == "image repeated: train/a.png: it is in coco-train and in coco-val; both are kept"
