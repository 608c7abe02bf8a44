import subprocess
import sys
from pathlib import Path

import pytest

from detres.config.detection_schema import DataConfig
from detres.data.detection.datasets import load_dataset, load_split
from detres.data.formats.format import find_root
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.data.places import datasets_root
from detres.errors import DataError
from detres.tables import DETECTION_FORMATS


def _voc(root: Path | str, **more) -> DataConfig:
    return DataConfig(format="voc", root=str(root), train=("train",), test=("test",), **more)


def test_splits_are_joined_in_order(voc_root: Path) -> None:
    config = DataConfig(format="voc", root=str(voc_root), train=("train", "test"))
    dataset = load_dataset(config, "train")
    assert [dataset.image_id(i) for i in range(3)] == ["a", "b", "c"]
    assert dataset.class_names == ("bird", "cat", "dog")


def test_val_fraction_parts_the_training_images(voc_root: Path) -> None:
    config = _voc(voc_root, val_fraction=0.5)
    train, val = load_dataset(config, "train"), load_dataset(config, "val")
    assert sorted([train.image_id(0), val.image_id(0)]) == ["a", "b"]
    assert load_dataset(config, "val").digest() == val.digest()
    assert train.class_names == val.class_names


def test_val_fraction_always_leaves_something_on_both_sides(voc_root: Path) -> None:
    for fraction in (0.01, 0.99):
        config = _voc(voc_root, val_fraction=fraction)
        assert len(load_dataset(config, "train")) == len(load_dataset(config, "val")) == 1


def test_a_split_that_is_not_named_is_said(voc_root: Path) -> None:
    with pytest.raises(
        DataError, match=r"names no val split \(it has train, test\); set data.val or data.val_fraction"
    ):
        load_dataset(_voc(voc_root), "val")


def test_a_missing_root_says_what_was_looked_for_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETRES_DATASETS", str(tmp_path / "sets"))
    with pytest.raises(DataError) as caught:
        load_dataset(_voc("datasets/voc"), "train")
    assert str(tmp_path / "sets" / "voc") in str(caught.value)
    assert "`detres prepare voc`" in str(caught.value)


@pytest.mark.parametrize(
    ("data", "layout"),
    [
        (DataConfig(format="coco", root="absent", train=["mine.json"]), "an instances JSON lies with its images"),
        (DataConfig(format="yolo", root="absent", train=["train"]), "images/, labels/ and a data.yaml"),
        (DataConfig(format="imagenet_det", root="absent", train=["train"]), "ILSVRC/Annotations/DET"),
    ],
)
def test_a_missing_root_of_ones_own_says_its_layout(data: DataConfig, layout: str) -> None:
    with pytest.raises(DataError, match=f"is not there. Set data.root=FOLDER, .*{layout}"):
        find_root(DETECTION_FORMATS, data)


def test_a_package_named_datasets_beside_an_installed_detres_holds_no_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, here = tmp_path / "site", tmp_path / "here"
    (site / "datasets").mkdir(parents=True)
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.delenv("DETRES_DATASETS", raising=False)
    monkeypatch.setattr("detres.data.places.__file__", str(site / "detres" / "data" / "places.py"))
    assert datasets_root() == here / "datasets"
    (site / "pyproject.toml").touch()  # a clone
    assert datasets_root() == site / "datasets"


def test_the_environment_moves_the_root(voc_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETRES_DATASETS", str(voc_root.parent))
    assert datasets_root() == voc_root.parent
    for written in (voc_root.name, f"datasets/{voc_root.name}", str(voc_root)):
        assert find_root(DETECTION_FORMATS, _voc(written)).samefile(voc_root)


def test_a_relative_root_is_looked_for_in_base_first(voc_root: Path) -> None:
    assert find_root(DETECTION_FORMATS, _voc(voc_root.name), voc_root.parent) == voc_root


def test_nothing_to_learn_from_is_an_error_in_training_alone(voc_root: Path) -> None:
    for file in (voc_root / "Annotations").glob("[ab].xml"):
        file.unlink()
    config = DataConfig(format="voc", root=str(voc_root), train=("train",), test=("train", "test"))
    with pytest.raises(DataError, match="none of its 2 images has a box"):
        load_dataset(config, "train")
    assert len(load_dataset(config, "test")) == 3


@pytest.mark.parametrize("val_fraction", [0.0, 0.5])
def test_boxes_that_are_all_ignored_are_nothing_to_learn_from(voc_root: Path, val_fraction: float) -> None:
    for stem in ("a", "b"):
        file = voc_root / "Annotations" / f"{stem}.xml"
        write_annotation(file, f"{stem}.png", (40, 60), [VocObject("cat", (5, 5, 60, 40), difficult=True)])
    config = DataConfig(format="voc", root=str(voc_root), train=("train",), val_fraction=val_fraction)
    with pytest.raises(DataError, match=r"has a box to learn from: all \d boxes are to be ignored.*difficult=positive"):
        load_dataset(config, "train")
    with pytest.raises(DataError, match="has a box to learn from"):
        load_dataset(config.model_copy(update={"difficult": "drop"}), "train")
    assert len(load_dataset(config.model_copy(update={"difficult": "positive"}), "train"))
    assert len(load_split(config, "train"))


def test_a_refusal_to_learn_from_nothing_lists_the_problems(voc_root: Path) -> None:
    for stem in ("a", "b"):
        file = voc_root / "Annotations" / f"{stem}.xml"
        write_annotation(file, f"{stem}.png", (40, 60), [VocObject("cat", (5, 5, 5, 5))])
    with pytest.raises(DataError, match=r"has a box to learn from; check data.train\n  box without area: \S*a.png"):
        load_dataset(DataConfig(format="voc", root=str(voc_root), train=("train",)), "train")


def test_both_parts_of_a_set_tell_what_is_wrong_with_them(voc_root: Path) -> None:
    """Each its own images' problems; what belongs to no image that is there is told by both."""
    bad = VocObject("cat", (5, 5, 5, 5))
    for stem in ("a", "b"):
        write_annotation(
            voc_root / "Annotations" / f"{stem}.xml", f"{stem}.png", (40, 60), [VocObject("dog", (1, 1, 9, 9)), bad]
        )
    with (voc_root / "ImageSets" / "Main" / "train.txt").open("a") as stream:
        stream.write("gone\n")
    config = _voc(voc_root, val_fraction=0.5)
    told = {split: load_dataset(config, split).problems for split in ("train", "val")}
    assert [[problem.kind for problem in problems] for problems in told.values()] == [
        ["annotation missing", "box without area"]
    ] * 2
    assert told["train"][1].file != told["val"][1].file


@pytest.mark.slow
def test_reading_annotations_imports_no_albumentations() -> None:
    room = "detres.data.detection"
    code = f"import sys, {room}.loaders, {room}.checking; sys.exit('albumentations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
