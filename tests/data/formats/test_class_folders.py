from collections.abc import Callable
from pathlib import Path

import pytest
from torchvision.datasets import ImageFolder

from detres.data.formats.class_folders import load_folder
from detres.errors import DataError

Write = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path, write_picture: Write) -> Path:
    """Two splits of cats, dogs and "an eel"; a folder in a folder, an upper-case ending, and things to pass over."""
    files = ("cat/2.png", "cat/10.PNG", "cat/more/1.jpg", "dog/a b.png", "dog/ü.png", "an eel/1.bmp")
    for split in ("train", "val"):
        for place, name in enumerate(files):
            write_picture(tmp_path / split / name, 8, 8, seed=place)
        (tmp_path / split / "cat" / ".hidden.png").touch()
        (tmp_path / split / "cat" / "notes.txt").touch()
        (tmp_path / split / ".thumbs").mkdir()
    return tmp_path


def _names(images) -> list[str]:
    return [images.image_id(i) for i in range(len(images))]


def test_images_and_labels_are_those_torchvision_finds(root: Path) -> None:
    images = load_folder(root, "train", train=["train"])
    (root / "train" / ".thumbs").rmdir()  # torchvision would take it for a class
    theirs = ImageFolder(str(root / "train"), is_valid_file=lambda path: not Path(path).name.startswith((".", "notes")))
    assert {(str(images.path(i)), int(images.labels[i])) for i in range(len(images))} == set(theirs.samples)
    assert list(images.class_names) == theirs.classes == ["an eel", "cat", "dog"]
    assert images.name == f"{root.name}/train"
    assert images.read(0).shape == (8, 8, 3)


def test_names_are_sorted_within_a_class(root: Path) -> None:
    images = load_folder(root, "val", train=["train"])
    assert _names(images)[1:4] == ["val/cat/10.PNG", "val/cat/2.png", "val/cat/more/1.jpg"]


def test_the_root_itself_may_hold_the_class_folders(root: Path) -> None:
    images = load_folder(root / "train", ".", train=["."])
    assert _names(images)[0] == "an eel/1.bmp"
    assert images.path(0).is_file()


def test_the_training_folders_name_the_classes(root: Path) -> None:
    images = load_folder(root, "val", train=["train"], classes=["dog", "cat"])
    assert images.class_names == ("dog", "cat")
    assert images.counts().tolist() == [2, 3]
    with pytest.raises(DataError, match="dgo is no class of this set; did you mean dog"):
        load_folder(root, "val", train=["train"], classes=["dgo"])


def test_a_split_alone_names_its_own_classes(root: Path) -> None:
    assert load_folder(root, "val", train=["elsewhere"]).class_names == ("an eel", "cat", "dog")


def test_class_folders_must_be_the_same_in_every_split(root: Path) -> None:
    (root / "val" / "fox").mkdir()
    with pytest.raises(DataError, match=r"1 folders are no class of the training images: fox.*data.classes"):
        load_folder(root, "val", train=["train"])
    assert len(load_folder(root, "val", train=["train"], classes=["cat", "dog"])) == 5
    (root / "val" / "fox").rmdir()
    (root / "val" / "an eel").rename(root / "val" / "eel")
    with pytest.raises(DataError, match="eel"):
        load_folder(root, "val", train=["train"])


def test_two_training_splits_with_other_folders_are_refused(root: Path) -> None:
    (root / "val" / "fox").mkdir()
    with pytest.raises(DataError, match="the class folders of train and val differ: fox"):
        load_folder(root, "train", train=["train", "val"])


def test_a_class_without_images_is_named(root: Path) -> None:
    (root / "train" / "cow").mkdir()
    with pytest.raises(DataError, match=r"1 of 4 classes have no image there: cow. Is the set half unpacked"):
        load_folder(root, "train", train=["train"])


def test_archives_that_were_not_unpacked_are_named(root: Path) -> None:
    (root / "train" / "fox.tar").touch()
    with pytest.raises(DataError, match=r"1 archives lie there that are not unpacked: fox.tar"):
        load_folder(root, "train", train=["train"])


def test_a_half_unpacked_set_is_refused(root: Path) -> None:
    (root / ".big.tar.unpacking").touch()
    with pytest.raises(DataError, match=r"big.tar is half unpacked; run `detres prepare` for this set again"):
        load_folder(root, "train", train=["train"])


def test_images_beside_the_class_folders_are_listed(root: Path) -> None:
    (root / "train" / "stray.jpg").touch()
    (problem,) = load_folder(root, "train", train=["train"]).problems
    assert (problem.kind, problem.file, problem.costs_image) == ("image without class", "train/stray.jpg", True)


@pytest.mark.parametrize("split", ["tarin", "train/cat/more"])
def test_a_split_that_is_no_folder_of_folders_is_refused(root: Path, split: str) -> None:
    with pytest.raises(DataError, match=r"no such folder|no class folders"):
        load_folder(root, split)
