from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.formats.labels.darknet import load_darknet, recognize
from detres.errors import DataError

Write = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path, write_picture: Write) -> Path:
    """As CVAT exports two subsets, the labels without the pictures, which lie in images/."""
    for stem, subset in (("a", "train"), ("b", "train"), ("c", "valid")):
        write_picture(tmp_path / "images" / f"{stem}.png")
        (tmp_path / f"obj_{subset}_data").mkdir(exist_ok=True)
    (tmp_path / "obj_train_data" / "a.txt").write_text("1 0.5 0.5 0.5 0.25\n")
    (tmp_path / "obj_valid_data" / "c.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    (tmp_path / "train.txt").write_text("data/obj_train_data/a.png\ndata/obj_train_data/b.png\n")
    (tmp_path / "valid.txt").write_text("data\\obj_valid_data\\c.png\n")
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "obj.data").write_text(
        "classes=2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names"
    )
    return tmp_path


def test_labels_are_found_where_the_list_says_and_pictures_by_their_names(root: Path) -> None:
    known = recognize(root)
    assert known is not None
    assert (known.train, known.val, known.test) == (("train.txt",), ("valid.txt",), ())
    images = load_darknet(root, "train.txt")
    assert [images.file_name(i) for i in range(len(images))] == ["images/a.png", "images/b.png"]
    assert images.boxes.tolist() == [[15, 15, 45, 25]]
    assert images.class_names == ("cat", "dog")
    assert images.target(0).labels.tolist() == [1]
    assert images.problem_counts() == {"written otherwise": 1}
    assert load_darknet(root, "valid.txt").target(0).labels.tolist() == [0]


def test_names_are_needed_and_only_one_file_of_them(root: Path) -> None:
    (root / "obj.data").unlink()
    assert recognize(root) is None
    assert load_darknet(root, "train.txt").class_names == ("cat", "dog")
    (root / "other.names").write_text("cow\n")
    with pytest.raises(DataError, match=r"there are obj\.names, other\.names"):
        load_darknet(root, "train.txt")
    (root / "other.names").unlink()
    (root / "obj.names").unlink()
    with pytest.raises(DataError, match="there is none"):
        load_darknet(root, "train.txt")


def test_nothing_outside_is_read_and_bad_lines_are_told(root: Path) -> None:
    (root / "obj_train_data" / "b.txt").write_text("7 0.5 0.5 0.5 0.5\n0 nan 0.5 0.5 0.5\n0 0.5\n")
    (root / "train.txt").write_text(
        "data/obj_train_data/a.png\ndata/obj_train_data/a.png\n../../etc/passwd\n/etc/passwd\ndata/obj_train_data/b.png\n"
    )
    (root / "obj.data").write_text("names = ../../etc/passwd\n")
    images = load_darknet(root, "train.txt")
    counts = images.problem_counts()
    assert counts["name outside the set"] == 2
    assert counts["image repeated"] == 1
    assert counts["unknown class"] == 1
    assert counts["annotation malformed"] == 2
    assert len(images) == 2
