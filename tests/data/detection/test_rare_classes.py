from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from detres.config.detection_schema import DataConfig
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.checking import check
from detres.data.detection.datasets import load_split
from detres.data.detection.rare_classes import RARE, rare_but_measured, rare_in_training
from detres.data.formats.voc.writing import VocObject, write_annotation

Write = Callable[[str, Sequence[Sequence[str]]], AnnotatedImages]


@pytest.fixture
def write(tmp_path: Path, write_picture: Callable[..., Path]) -> Write:
    """A split with an image for each list of classes; a class in capitals is difficult."""

    def make(split: str, images: Sequence[Sequence[str]]) -> AnnotatedImages:
        for number, names in enumerate(images):
            write_picture(tmp_path / split / f"{split}{number}.png", seed=number)
            objects = [
                VocObject(name.lower(), (place, 0, place + 10, 20), difficult=name.isupper())
                for place, name in enumerate(names)
            ]
            write_annotation(tmp_path / split / f"{split}{number}.xml", f"{split}{number}.png", (40, 60), objects)
        return load_split(DataConfig(format="voc", root=str(tmp_path), train=(split,)), "train")

    return make


def test_classes_in_few_images_are_told_the_fewest_first(write: Write) -> None:
    train = write("train", [["cat", "cow"]] * RARE + [["cat", "dog", "dog"]])
    rare, alone = rare_in_training(train)
    assert rare.startswith("2 classes are in 10 images or fewer")
    assert "dog (1), cow (10);" in rare
    assert "cat" not in rare
    assert "dog (2 boxes)" in alone
    assert rare.endswith("or leave them out with data.classes=[…]")


def test_classes_that_are_all_rare_are_not_to_be_left_out(write: Write) -> None:
    (rare,) = rare_in_training(write("train", [["cat"], ["cat", "cow"], ["cow"]]))
    assert rare.endswith("cat (2), cow (2); bring more images of them")


def test_boxes_to_be_ignored_teach_nothing(write: Write) -> None:
    (rare,) = rare_in_training(write("train", [["cat"]] * (RARE + 1) + [["dog", "DOG"], ["DOG"]]))
    assert "1 class is in" in rare
    assert "dog (1)" in rare


def test_enough_of_each_and_nothing_at_all_are_no_remark(write: Write) -> None:
    train = write("train", [["cat", "dog"]] * (RARE + 1))
    assert list(rare_in_training(train)) == []
    none = train.select_boxes(np.array([], dtype=np.int64))
    assert list(rare_in_training(none)) == []
    assert list(rare_but_measured(train, none)) == list(rare_but_measured(none, train)) == []


def test_a_class_that_is_measured_on_more_than_is_learned_is_told(write: Write) -> None:
    train, val = write("train", [["cat", "dog"], ["cat"], ["cow"]]), write("val", [["dog"], ["dog"], ["cat", "cow"]])
    (remark,) = rare_but_measured(train, val)
    assert remark == f"1 class is in more images here than in {train.name}: dog (1 to learn from, 2 here)"


def test_of_many_rare_classes_some_are_named(write: Write) -> None:
    rare, _ = rare_in_training(write("train", [[f"c{number}" for number in range(12)] + ["c3"]]))
    assert rare.startswith("12 classes are in")
    assert "and 4 more; " in rare


def test_the_check_says_so_without_calling_it_a_problem(write: Write, tmp_path: Path) -> None:
    write("train", [["cat", "dog"]])
    write("val", [["dog"], ["dog"]])
    train, val = check(DataConfig(format="voc", root=str(tmp_path), train=("train",), val=("val",)), decode=False)
    assert [len(train.remarks), len(val.remarks)] == [1, 1]
    assert (train.problems, val.problems) == ((), ())
