from pathlib import Path

import pytest

from detres.data.yolo import load_yolo
from detres.data.yolo_labels import label_file
from detres.errors import DataError


@pytest.fixture
def yolo_root(tmp_path: Path, write_picture) -> Path:
    for stem in ("a", "b", "c"):
        write_picture(tmp_path / "images" / "train" / f"{stem}.png")
    labels = tmp_path / "labels" / "train"
    labels.mkdir(parents=True)
    (labels / "a.txt").write_text("1 0.5 0.5 0.5 0.25\n0 0.1 0.1 0.3 0.1 0.3 0.5\n")
    (labels / "b.txt").write_text(
        "7 0.5 0.5 0.1 0.1\n0 0.5 zero 0.1 0.1\n0 0.5 0.5 0.1\n0 0.5 0.5 0 0.1\n0 1 1 0.5 0.5\n"
    )
    (tmp_path / "data.yaml").write_text("names:\n  0: cat\n  1: dog\n")
    return tmp_path


def test_shares_and_polygons_become_pixels(yolo_root: Path) -> None:
    dataset = load_yolo(yolo_root, "images/train")
    assert dataset.class_names == ("cat", "dog")
    target = dataset.target(0)
    assert target.labels.tolist() == [1, 0]
    assert [[round(value, 3) for value in box] for box in target.boxes.tolist()] == [[15, 15, 45, 25], [6, 4, 18, 20]]
    assert dataset.image_id(0) == "a"


def test_bad_lines_are_counted_and_an_image_without_labels_is_empty(yolo_root: Path) -> None:
    dataset = load_yolo(yolo_root, "images/train")
    assert dataset.problem_counts() == {
        "annotation malformed": 2,
        "unknown class": 1,
        "box without area": 1,
        "box outside the image": 1,
    }
    assert [len(dataset.target(i)) for i in range(3)] == [2, 1, 0]
    with pytest.raises(DataError, match="5 problems"):
        load_yolo(yolo_root, "images/train", strict=True)


def test_a_list_of_files_works_as_a_folder_does(yolo_root: Path) -> None:
    (yolo_root / "train.txt").write_text("./images/train/a.png\n\n./images/train/b.png\n")
    assert [load_yolo(yolo_root, "train.txt").file_name(i) for i in range(2)] == [
        "images/train/a.png",
        "images/train/b.png",
    ]


def test_stems_that_stand_twice_get_their_folder(yolo_root: Path, write_picture) -> None:
    write_picture(yolo_root / "images" / "val" / "a.png")
    dataset = load_yolo(yolo_root, "images")
    assert dataset.image_id(0) == "images/train/a"
    assert len(dataset) == 4


def test_labels_lie_in_the_mirror_of_the_last_images_folder(yolo_root: Path) -> None:
    assert label_file(yolo_root / "images" / "train" / "a.png") == yolo_root / "labels" / "train" / "a.txt"
    assert label_file(Path("/x/images/y/a.png")) == Path("/x/images/y/a.txt")


def test_missing_names_and_folders_are_said(yolo_root: Path) -> None:
    with pytest.raises(DataError, match="no such folder or list"):
        load_yolo(yolo_root, "images/trian")
    (yolo_root / "data.yaml").write_text("names: {0: cat, 2: dog}\n")
    with pytest.raises(DataError, match="one name for each number"):
        load_yolo(yolo_root, "images/train")
    (yolo_root / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"data\.yaml.*classes\.txt"):
        load_yolo(yolo_root, "images/train")
    (yolo_root / "classes.txt").write_text("cat\ndog\n")
    assert load_yolo(yolo_root, "images/train").class_names == ("cat", "dog")
