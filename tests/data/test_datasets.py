import subprocess
import sys
from pathlib import Path

import pytest

from detres.config.schema import DataConfig
from detres.data.datasets import datasets_root, find_root, load_dataset
from detres.errors import DataError


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
    assert "prepare_voc.py" in str(caught.value)


def test_the_environment_moves_the_root(voc_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETRES_DATASETS", str(voc_root.parent))
    assert datasets_root() == voc_root.parent
    for written in (voc_root.name, f"datasets/{voc_root.name}", str(voc_root)):
        assert find_root(_voc(written)).samefile(voc_root)


def test_a_relative_root_is_looked_for_in_base_first(voc_root: Path) -> None:
    assert find_root(_voc(voc_root.name), voc_root.parent) == voc_root


def test_nothing_to_learn_from_is_an_error_in_training_alone(voc_root: Path) -> None:
    for file in (voc_root / "Annotations").glob("[ab].xml"):
        file.unlink()
    config = DataConfig(format="voc", root=str(voc_root), train=("train",), test=("train", "test"))
    with pytest.raises(DataError, match="none of its 2 images has a box"):
        load_dataset(config, "train")
    assert len(load_dataset(config, "test")) == 3


def test_reading_annotations_imports_no_albumentations() -> None:
    code = "import sys, detres.data.loaders, detres.data.checking; sys.exit('albumentations' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
