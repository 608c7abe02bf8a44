"""YOLO sets that nobody described."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.formats.yolo.reading import load_yolo
from detres.data.formats.yolo.recognition import recognize_yolo
from detres.errors import DataError

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, write_picture: Callable[..., Path]) -> Write:
    def write(images: str, labels: str, stem: str, text: str = "1 0.5 0.5 0.5 0.5\n") -> None:
        write_picture(tmp_path / images / f"{stem}.png")
        (tmp_path / labels).mkdir(parents=True, exist_ok=True)
        (tmp_path / labels / f"{stem}.txt").write_text(text)

    return write


@pytest.mark.parametrize(
    ("images", "labels", "classes", "train"),
    [
        (".", ".", ".", "."),
        ("images", "labels", ".", "images"),
        ("images", "labels", "labels", "images"),
        ("train/images", "train/labels", "train/labels", "train/images"),
        ("images/train", "labels/train", "labels/train", "images/train"),
        ("train", "train", ".", "train"),
    ],
)
def test_labels_and_names_are_found_where_tools_write_them(
    tmp_path: Path, write: Write, images: str, labels: str, classes: str, train: str
) -> None:
    write(images, labels, "a", "")
    write(images, labels, "b")
    (tmp_path / classes / "classes.txt").write_text("cat\ndog\n")
    found = recognize_yolo(tmp_path)
    assert found is not None
    assert (found.train, found.val, found.test) == ((train,), (), ())
    assert found.why.endswith("/ holds 2 text files of labels")
    read = load_yolo(tmp_path, train)
    assert (len(read), read.class_names, read.labels.tolist(), read.problems) == (2, ("cat", "dog"), [1], ())


def test_splits_are_told_by_their_words(tmp_path: Path, write: Write) -> None:
    for split in ("train", "valid", "test"):
        write(f"images/{split}", f"labels/{split}", split)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    found = recognize_yolo(tmp_path)
    assert found is not None
    assert (found.train, found.val, found.test) == (("images/train",), ("images/valid",), ("images/test",))


def test_labels_without_names_are_asked_about(tmp_path: Path, write: Write) -> None:
    write("images", "labels", "a")
    with pytest.raises(DataError, match=r"labels/ holds labels of YOLO's kind.*write them into .*classes\.txt"):
        recognize_yolo(tmp_path)
    (tmp_path / "obj.names").write_text("cat\ndog\n")  # darknet's
    assert recognize_yolo(tmp_path) is None


def test_texts_of_other_kinds_are_no_labels(tmp_path: Path, write: Write) -> None:
    assert recognize_yolo(tmp_path) is None
    write(".", ".", "a", "a photograph of a cat\n")
    write(".", ".", "b", "")
    assert recognize_yolo(tmp_path) is None
