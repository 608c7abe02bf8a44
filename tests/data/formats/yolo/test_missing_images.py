"""Images that a folder of a YOLO set has no more are known by the labels they left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from detres.data.formats.yolo.reading import load_yolo
from detres.errors import DataError


@pytest.mark.parametrize("where", ["labels/train", "images/train", "labels/train/cam2"])
@pytest.mark.parametrize("other", [None, "d.heic", "d.GIF", "d"])
def test_labels_of_an_image_that_a_folder_has_no_more_tell_of_it(
    yolo_root: Path, where: str, other: str | None
) -> None:
    """A list names its images; of a folder, nothing else would say that one is missing."""
    for stem in ("b", "c"):
        (yolo_root / "labels" / "train" / f"{stem}.txt").write_text("")
    (yolo_root / where).mkdir(exist_ok=True)
    (yolo_root / where / "d.txt").write_text("\n0 0.5 0.5 0.5 0.5\n")
    place = yolo_root / where.replace("labels", "images")
    place.mkdir(exist_ok=True)
    if other:
        (place / other).touch()
    images = load_yolo(yolo_root, "images/train")
    (problem,) = [problem for problem in images.problems if problem.kind != "file not read"]
    assert (problem.kind, problem.file, problem.costs_image) == ("image missing", f"{where}/d.txt", True)
    assert f"{place.relative_to(yolo_root)} has no image of that name" in problem.detail
    assert (f"{other} lies there" if other else "bring it back") in problem.detail
    with pytest.raises(DataError, match=r"image missing: .*/d\.txt"):
        load_yolo(yolo_root, "images/train", strict=True)


def test_a_folder_lacks_no_image_for_texts_without_labels_nor_for_those_of_another_name(
    yolo_root: Path, write_picture
) -> None:
    labels = yolo_root / "labels" / "train"
    for name in ("b.txt", "c.txt", "d.txt", "blank.txt"):
        (labels / name).write_text("\n" if name == "blank.txt" else "")
    (labels / "README.txt").write_text("five words about the labels\n")
    (labels / "classes.txt").write_text("0 1 1 1 1\n")
    write_picture(yolo_root / "images" / "train" / "cam" / "e.png")
    (yolo_root / "images" / "train" / "alias").symlink_to("cam")
    for folder in ("cam", "alias"):
        (labels / folder).mkdir()
        (labels / folder / "e.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (problem,) = load_yolo(yolo_root, "images/train", strict=True).problems
    assert (problem.kind, problem.detail) == (
        "file not read",
        "4 label files belong to no image: README.txt, e.txt, blank.txt, …",
    )


def test_labels_of_other_lists_are_of_no_missing_image(yolo_root: Path) -> None:
    (yolo_root / "labels" / "train" / "b.txt").write_text("")
    (yolo_root / "labels" / "train" / "d.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (yolo_root / "train.txt").write_text("images/train/a.png\nimages/train/b.png\n")
    assert load_yolo(yolo_root, "train.txt", strict=True).problem_counts() == {"file not read": 1}
