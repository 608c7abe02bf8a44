import os
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from detres.data.classes import CIFAR10_CLASSES
from detres.data.classification.device_set import decode_small
from detres.data.formats.cifar10 import load_cifar10
from detres.errors import DataError

NAMES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


@pytest.fixture
def batches(tmp_path: Path) -> Path:
    """Four images a batch, in Python's form and the binary one."""
    python, binary = tmp_path / "cifar-10-batches-py", tmp_path / "binary" / "cifar-10-batches-bin"
    python.mkdir()
    binary.mkdir(parents=True)
    for place, name in enumerate(NAMES):
        draw = np.random.default_rng(place)
        rows, labels = draw.integers(0, 256, (4, 3072), dtype=np.uint8), draw.integers(0, 10, 4).tolist()
        (python / name).write_bytes(pickle.dumps({"data": rows, "labels": labels, "filenames": ["x.png"] * 4}, 2))
        column = np.array(labels, dtype=np.uint8)[:, None]
        (binary / f"{name}.bin").write_bytes(np.concatenate([column, rows], axis=1).tobytes())
    (python / "batches.meta").write_bytes(pickle.dumps({"label_names": list(CIFAR10_CLASSES)}))
    return tmp_path


@pytest.mark.parametrize("split", ["train", "test"])
def test_pixels_and_labels_are_those_torchvision_reads(
    batches: Path, split: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda path, md5: True)
    theirs = CIFAR10(str(batches), train=split == "train")
    images = load_cifar10(batches, split)
    np.testing.assert_array_equal(images.pixels, theirs.data)
    assert images.labels.tolist() == theirs.targets
    assert list(images.class_names) == theirs.classes
    assert images.image_id(0) == ("data_batch_1/0" if split == "train" else "test_batch/0")


def test_the_binary_form_holds_the_same(batches: Path) -> None:
    python, binary = load_cifar10(batches, "train"), load_cifar10(batches / "binary", "train")
    np.testing.assert_array_equal(python.pixels, binary.pixels)
    assert python.digest() == binary.digest()
    np.testing.assert_array_equal(load_cifar10(batches / "cifar-10-batches-py", "test").read(2).shape, (32, 32, 3))


def test_classes_can_be_selected(batches: Path) -> None:
    everything, some = load_cifar10(batches, "train"), load_cifar10(batches, "train", classes=["ship", "cat"])
    assert some.counts().tolist() == [everything.counts()[8], everything.counts()[3]]
    assert len(some.pixels) == len(some)


def test_an_image_folder_is_read_in_the_same_order_of_classes(
    tmp_path: Path, write_picture: Callable[..., Path]
) -> None:
    for name in CIFAR10_CLASSES:
        write_picture(tmp_path / "train" / name / "1.png", 32, 32)
    images = load_cifar10(tmp_path, "train")
    assert images.class_names == CIFAR10_CLASSES
    assert decode_small(images).shape == (10, 32, 32, 3)
    (tmp_path / "train" / "truck" / "1.png").unlink()
    with pytest.raises(DataError, match="1 of 10 classes have no image there: truck"):
        load_cifar10(tmp_path, "train")


def test_nothing_in_a_batch_is_run(batches: Path) -> None:
    class Planted:
        def __reduce__(self) -> tuple:
            return os.system, ("touch planted",)

    (batches / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({"data": Planted(), "labels": []}))
    with pytest.raises(DataError, match=r"test_batch: this pickle asks for .*system, and might run any code"):
        load_cifar10(batches, "test")


def test_a_batch_that_is_missing_or_damaged_is_named(batches: Path) -> None:
    folder = batches / "cifar-10-batches-py"
    (folder / "data_batch_3").unlink()
    with pytest.raises(DataError, match="data_batch_3 is missing; is it half unpacked"):
        load_cifar10(batches, "train")
    whole = (folder / "test_batch").read_bytes()
    (folder / "test_batch").write_bytes(whole[:-200])
    with pytest.raises(DataError, match="test_batch: not a pickle that can be read"):
        load_cifar10(batches, "test")
    (folder / "test_batch").write_bytes(pickle.dumps({"data": np.zeros((3, 3072), np.uint8), "labels": [1, 2]}))
    with pytest.raises(DataError, match=r"2 labels and data of shape \(3, 3072\)"):
        load_cifar10(batches, "test")
    (folder / "test_batch").write_bytes(pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}))
    with pytest.raises(DataError, match="its labels run from 10 to 10, expected 0 to 9"):
        load_cifar10(batches, "test")
    file = batches / "binary" / "cifar-10-batches-bin" / "test_batch.bin"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="no whole number of images of 3073"):
        load_cifar10(batches / "binary", "test")


def test_there_is_no_val_and_an_empty_folder_says_how_to_get_the_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"CIFAR-10 has train and test; for a val.*val_fraction=0.1"):
        load_cifar10(tmp_path, "val")
    with pytest.raises(DataError, match=r"`detres prepare cifar10 --download`"):
        load_cifar10(tmp_path, "train")


def test_the_real_set_as_jpeg(real_data: Path, tmp_path: Path) -> None:
    archive = real_data / "cifar10_jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip("the copy of CIFAR-10 is not here")
    with tarfile.open(archive) as opened:  # the first thousand files, of 60,000
        for member, _ in zip((each for each in opened if each.isfile()), range(1000), strict=False):
            opened.extract(member, tmp_path, filter="data")
    split = next(path.name for path in tmp_path.iterdir())
    present = sorted(path.name for path in (tmp_path / split).iterdir())
    images = load_cifar10(tmp_path, split, classes=present)
    assert len(images) == 1000
    assert decode_small(images).shape == (1000, 32, 32, 3)
