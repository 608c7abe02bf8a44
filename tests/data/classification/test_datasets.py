import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.config.classification_schema import ClassificationDataConfig
from detres.data.classification.classified import ClassifiedImages
from detres.data.classification.datasets import load_classified, load_training_set
from detres.data.classification.shard_stream import ShardedImages
from detres.errors import ConfigError, DataError
from detres.tables import CLASSIFICATION_FORMATS


@pytest.fixture
def folder(tmp_path: Path, write_picture: Callable[..., Path]) -> Path:
    """Ten cats and five dogs to train on, one of each for val."""
    for name, count in (("cat", 10), ("dog", 5)):
        for i in range(count):
            write_picture(tmp_path / "train" / name / f"{i}.png", 8, 8, seed=i)
        write_picture(tmp_path / "val" / name / "0.png", 8, 8, seed=99)
    return tmp_path


def _config(root: Path | str | None, **more: object) -> ClassificationDataConfig:
    return ClassificationDataConfig(**({"format": "folder", "root": None if root is None else str(root)} | more))


def _ids(images: ClassifiedImages) -> set[str]:
    return {images.image_id(i) for i in range(len(images))}


def test_splits_are_found_below_the_root_and_joined(folder: Path) -> None:
    assert len(load_classified(_config(folder), "train")) == 15
    both = load_classified(_config(folder, train=("train", "val"), val=()), "train")
    assert both.name == f"{folder.name}/train+{folder.name}/val"
    assert both.counts().tolist() == [11, 6]
    assert load_classified(_config(folder.name), "val", base=folder.parent).counts().tolist() == [1, 1]


def test_a_share_of_the_training_images_is_val(folder: Path) -> None:
    config = _config(folder, val=(), val_fraction=0.2)
    train, val = load_classified(config, "train"), load_classified(config, "val")
    assert val.counts().tolist() == [2, 1]
    assert train.counts().tolist() == [8, 4]
    assert not _ids(train) & _ids(val)


def test_mistakes_of_the_config_are_told(folder: Path) -> None:
    with pytest.raises(DataError, match=r"data.test: the config names no test split"):
        load_classified(_config(folder), "test")
    with pytest.raises(DataError, match=r"data.train: train, train: a split stands twice"):
        load_classified(_config(folder, train=("train", "train")), "train")
    with pytest.raises(DataError, match=r"the folder set was looked for at .*nowhere.* and is not there"):
        load_classified(_config("nowhere"), "train")
    with pytest.raises(DataError, match=r"the cifar10 set .*detres prepare cifar10"):
        load_classified(_config("nowhere", format="cifar10"), "train")


def test_strict_accepts_no_problem(folder: Path) -> None:
    (folder / "train" / "stray.png").touch()
    assert len(load_classified(_config(folder), "train").problems) == 1
    with pytest.raises(DataError, match=r"1 problem, and data.strict=true accepts none:\n  image without class"):
        load_classified(_config(folder, strict=True), "train")


def test_nothing_is_learned_from_images_without_labels(folder: Path) -> None:
    place = folder / "unlabelled"
    (folder / "train" / "cat").rename(place)
    config = _config(folder, format="imagenet", train=("unlabelled",), test=("unlabelled",))
    assert load_classified(config, "test").labels.max() == -1
    with pytest.raises(DataError, match="its images have no labels to learn from"):
        load_classified(config, "train")


@pytest.mark.slow
def test_the_usual_classes_are_those_of_the_sets(datasets_folder: Path) -> None:
    assert {name: len(each.class_names()) for name, each in CLASSIFICATION_FORMATS.items() if each.class_names} == {
        "imagenet": 1000,
        "cifar10": 10,
        "shapes": 6,
    }
    images = load_classified(_config(None, format="shapes"), "val")
    assert images.class_names == CLASSIFICATION_FORMATS["shapes"].class_names()
    assert images.root == datasets_folder / "shapes_classes"


@pytest.fixture
def shards(tmp_path: Path, write_shard: Callable[..., Path], jpeg: Callable[[int], bytes]) -> Path:
    for shard in range(2):
        write_shard(tmp_path / f"{shard}.tar", {"a.jpg": jpeg(shard), "a.cls": b"0", "b.jpg": jpeg(9), "b.cls": b"1"})
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    return tmp_path


def test_shards_are_streamed_for_training_and_counted_where_they_lie_on_a_disk(shards: Path) -> None:
    config = _config(shards, format="webdataset", train=("{0..1}.tar",), val=("1.tar",))
    images = load_training_set(config)
    assert isinstance(images, ShardedImages)
    assert (len(images), images.class_names, len(images.shards)) == (4, ("cat", "dog"), 2)
    assert len(load_training_set(config.model_copy(update={"images": 3}))) == 3
    assert load_classified(config, "val").labels.tolist() == [0, 1]


def test_what_a_stream_cannot_do_is_told(shards: Path) -> None:
    config = _config(shards, format="webdataset", train=(f"pipe:cat {shards}/{{0..1}}.tar",), val=())
    with pytest.raises(DataError, match=r"data.images: nobody can count the images of piped shards"):
        load_training_set(config)
    assert len(load_training_set(config.model_copy(update={"images": 4}))) == 4
    with pytest.raises(DataError, match=r"data.val_fraction: no images can be set apart from a stream"):
        load_training_set(config.model_copy(update={"images": 4, "val_fraction": 0.1}))
    with pytest.raises(DataError, match=r"data.classes: the labels of a stream are those of .*classes.txt"):
        load_training_set(config.model_copy(update={"images": 4, "classes": ("dog",)}))


def test_other_sets_are_trained_on_as_they_are_read(folder: Path) -> None:
    assert isinstance(load_training_set(_config(folder)), ClassifiedImages)


def test_a_stream_without_its_package_is_told_with_the_mend_and_its_val_is_read(
    shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "webdataset", None)
    config = _config(shards, format="webdataset", train=("{0..1}.tar",), val=("1.tar",))
    with pytest.raises(
        ConfigError, match=r"data.format=webdataset: training needs .* pip install 'detres\[webdataset\]', or"
    ):
        load_training_set(config)
    assert len(load_classified(config, "val")) == 2
