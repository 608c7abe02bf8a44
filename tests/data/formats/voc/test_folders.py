"""VOC's XML without lists: in one folder with its pictures, in folders beside theirs, a split each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.voc import VOC
from detres.data.formats.voc.folders import Pair, pair_of
from detres.data.formats.voc.reading import load_voc
from detres.data.formats.voc.recognition import recognize_voc
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.errors import DataError

Write = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path, write_picture: Callable[..., Path]) -> Write:
    """Write a picture and its annotation, each into a folder."""

    def write(pictures: str, annotations: str | None, stem: str, *names: str) -> None:
        write_picture(tmp_path / pictures / f"{stem}.png", seed=len(stem))
        if annotations is not None:
            (tmp_path / annotations).mkdir(parents=True, exist_ok=True)
            objects = [VocObject(name, (0, 0, 10, 20)) for name in names]
            write_annotation(tmp_path / annotations / f"{stem}.xml", f"{stem}.png", (40, 60), objects)

    return write


def files_of(images: AnnotatedImages) -> list[str]:
    return [images.file_name(i) for i in range(len(images))]


@pytest.mark.parametrize(
    ("pictures", "annotations"),
    [(".", "."), ("images", "annotations"), ("JPEGImages", "Annotations"), (".", "xmls"), ("imgs", "labels")],
)
def test_a_folder_of_xml_and_pictures_is_one_split(
    tmp_path: Path, write: Write, pictures: str, annotations: str
) -> None:
    write(pictures, annotations, "a", "cat", "dog")
    write(pictures, annotations, "b")
    found = recognize_voc(tmp_path)
    assert found is not None
    assert (found.root, found.train, found.val, found.test) == (tmp_path, (".",), (), ())
    assert found.why.endswith("/ holds 2 XML files")
    images = load_voc(tmp_path, ".")
    assert files_of(images) == [(Path(pictures) / f"{stem}.png").as_posix() for stem in "ab"]
    assert (images.class_names, images.labels.tolist(), images.problems) == (("cat", "dog"), [0, 1], ())


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
@pytest.mark.parametrize("layout", ["{0}|{0}", "{0}/images|{0}/annotations", "images/{0}|annotations/{0}"])
def test_splits_are_folders_and_agree_on_the_classes(tmp_path: Path, write: Write, val: str, layout: str) -> None:
    for split, name in (("train", "dog"), (val, "ant"), ("test", "dog")):
        write(*layout.format(split).split("|"), f"{split}1", name)
    found = recognize_voc(tmp_path)
    assert found is not None
    assert (found.train, found.val, found.test) == (("train",), (val,), ("test",))
    every = (*found.train, *found.val, *found.test)
    sets = [load_voc(tmp_path, split, sibling_splits=every) for split in every]
    assert [images.class_names for images in sets] == [("ant", "dog")] * 3
    assert [images.labels.tolist() for images in sets] == [[1], [0], [1]]
    assert all(VOC.absent(tmp_path, every) == [] for _ in every)
    assert VOC.absent(tmp_path, ["other"]) == ["other"]


def test_a_picture_without_xml_is_left_out_and_told_and_a_negative_is_one_of_nothing(
    tmp_path: Path, write: Write
) -> None:
    write(".", ".", "a", "cat")
    write(".", ".", "nothing")
    write(".", None, "unseen")
    images = load_voc(tmp_path, ".")
    assert files_of(images) == ["a.png", "nothing.png"]
    assert [(p.kind, p.file, p.costs_image) for p in images.problems] == [("annotation missing", "unseen.png", True)]
    with pytest.raises(DataError, match=r"unseen\.png"):
        load_voc(tmp_path, ".", strict=True)


def test_an_annotation_without_its_picture_and_xml_of_another_kind_are_told(tmp_path: Path, write: Write) -> None:
    write("images", "annotations", "a", "cat")
    write("images", "annotations", "b", "cat")
    (tmp_path / "images" / "b.png").unlink()
    (tmp_path / "annotations" / "pom.xml").write_text("<project/>")
    images = load_voc(tmp_path, ".")
    assert files_of(images) == ["images/a.png"]
    assert images.problem_counts() == {"image missing": 1, "annotation malformed": 1}


def test_lists_come_before_folders(voc_root: Path, write: Write) -> None:
    write("train", "train", "other", "cow")
    assert files_of(load_voc(voc_root, "train")) == ["JPEGImages/a.png", "JPEGImages/b.png"]
    found = recognize_voc(voc_root)
    assert found is not None
    assert (found.train, found.val, found.test, found.why) == (("train",), (), ("test",), "lists in ImageSets/Main/")


def test_years_of_a_devkit_are_joined(tmp_path: Path, write: Write) -> None:
    for year, lists in (("VOC2007", ("trainval", "test")), ("VOC2012", ("train", "val", "trainval", "cat_train"))):
        write(f"VOCdevkit/{year}/JPEGImages", f"VOCdevkit/{year}/Annotations", year, "cat")
        for name in lists:
            place = tmp_path / "VOCdevkit" / year / "ImageSets" / "Main"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{name}.txt").write_text(f"{year}\n")
    found = recognize_voc(tmp_path)
    assert found is not None
    assert found.train == ("VOC2007/trainval", "VOC2012/train")
    assert (found.val, found.test) == (("VOC2012/val",), ("VOC2007/test",))
    assert len(load_voc(tmp_path, found.train[1])) == 1


def test_lists_that_tell_no_split_are_asked_about(voc_root: Path) -> None:
    place = voc_root / "ImageSets" / "Main"
    for old, new in (("train", "one"), ("test", "two")):
        (place / f"{old}.txt").rename(place / f"{new}.txt")
    with pytest.raises(DataError, match="holds the lists one, two; which is which split"):
        recognize_voc(voc_root)


def test_what_is_no_such_folder_is_none(tmp_path: Path, write_picture: Callable[..., Path]) -> None:
    assert recognize_voc(tmp_path) is None
    write_picture(tmp_path / "a.png")
    (tmp_path / "annotations.xml").write_text("<annotations><image/></annotations>")  # CVAT's
    assert recognize_voc(tmp_path) is None
    assert pair_of(tmp_path, "../elsewhere") is None
    assert pair_of(tmp_path, ".") == Pair(".", ".")
