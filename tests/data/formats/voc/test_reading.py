from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from detres.data.classes import VOC_CLASSES
from detres.data.formats.voc.reading import load_voc
from detres.data.formats.voc.writing import VocObject, write_annotation
from detres.errors import DataError


def test_inclusive_pixels_from_one_become_continuous_edges(voc_root: Path) -> None:
    text = (voc_root / "Annotations" / "a.xml").read_text()
    assert "<xmin>1</xmin>" in text
    assert "<xmax>10</xmax>" in text
    dataset = load_voc(voc_root, "train")
    assert dataset.boxes[0].tolist() == [0, 0, 10, 20]


def test_difficult_and_truncated_are_kept_apart(voc_root: Path) -> None:
    dataset = load_voc(voc_root, "train")
    assert dataset.ignore.tolist() == [False, True]
    assert dataset.truncated.tolist() == [False, True]
    assert not dataset.crowd.any()


def test_every_list_of_a_custom_set_has_the_same_labels(voc_root: Path) -> None:
    assert load_voc(voc_root, "train").class_names == ("bird", "cat", "dog")
    assert load_voc(voc_root, "test").class_names == ("bird", "cat", "dog")
    assert load_voc(voc_root, "test").labels.tolist() == [0]


@pytest.mark.parametrize("above", ["VOCdevkit/VOC2007", "VOC2007"])
def test_a_year_of_the_devkit_has_the_twenty_classes(
    voc_root: Path, tmp_path_factory: pytest.TempPathFactory, above: str
) -> None:
    devkit = tmp_path_factory.mktemp("devkit")
    (devkit / above).parent.mkdir(exist_ok=True)
    voc_root.rename(devkit / above)
    dataset = load_voc(devkit, "2007/train")
    assert dataset.class_names == VOC_CLASSES
    assert dataset.path(0).is_file()
    assert dataset.name == "voc2007-train"


def test_what_is_wrong_with_a_file_costs_only_what_it_concerns(voc_root: Path) -> None:
    (voc_root / "Annotations" / "a.xml").write_text("<annotation><object>")
    (voc_root / "Annotations" / "c.xml").unlink()
    (voc_root / "ImageSets" / "Main" / "train.txt").write_text("a\nb\nc\n")
    write_annotation(voc_root / "Annotations" / "b.xml", "b.png", (40, 60), [VocObject("dog", (0, 0, 9, 9))])
    dataset = load_voc(voc_root, "train")
    assert dataset.problem_counts() == {"annotation malformed": 1, "annotation missing": 1}
    assert len(dataset) == 1


def test_a_size_that_disagrees_leaves_the_image_out_and_none_is_no_claim(voc_root: Path) -> None:
    dog = [VocObject("dog", (0, 0, 9, 9))]
    write_annotation(voc_root / "Annotations" / "a.xml", "a.png", (400, 600), dog)
    write_annotation(voc_root / "Annotations" / "b.xml", "b.png", (0, 0), dog)
    dataset = load_voc(voc_root, "train")
    assert [dataset.file_name(i) for i in range(len(dataset))] == ["JPEGImages/b.png"]
    assert dataset.size(0) == (40, 60)
    assert [problem.kind for problem in dataset.problems] == ["size disagrees"] * 2


def test_a_test_list_without_any_annotation_can_be_predicted_on(voc_root: Path) -> None:
    (voc_root / "Annotations" / "c.xml").unlink()
    dataset = load_voc(voc_root, "test", strict=True)
    assert len(dataset) == 1
    assert len(dataset.boxes) == 0
    assert dataset.problem_counts() == {"set without annotations": 1}


def test_annotations_beside_a_test_whose_boxes_are_secret_are_left_aside(
    voc_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """An archive may have some for other challenges: those of the images without one would be left out."""
    devkit = tmp_path_factory.mktemp("devkit")
    (voc_root / "ImageSets" / "Main" / "test.txt").write_text("a\nb\nc\n")
    (voc_root / "Annotations" / "b.xml").unlink()
    voc_root.rename(devkit / "VOC2012")
    dataset = load_voc(devkit, "2012/test", strict=True)
    assert (dataset.name, len(dataset), len(dataset.boxes)) == ("voc2012-test", 3, 0)
    (devkit / "VOC2012").rename(devkit / "VOC2007")
    assert len(load_voc(devkit, "2007/test")) == 2


def test_missing_folders_and_lists_are_named(voc_root: Path) -> None:
    with pytest.raises(DataError, match="there are test, train"):
        load_voc(voc_root, "trian")
    with pytest.raises(DataError, match="VOCdevkit/VOC2007"):
        load_voc(voc_root, "2007/train")


def test_bccd_has_two_boxes_without_area(real_data: Path) -> None:
    sets = [load_voc(real_data / "bccd", split) for split in ("train", "val", "test")]
    assert [len(each) for each in sets] == [205, 87, 72]
    problems = [problem for each in sets for problem in each.problems]
    assert [problem.kind for problem in problems] == ["box without area"] * 2
    assert {problem.file for problem in problems} == {
        "JPEGImages/BloodImage_00338.jpg",
        "JPEGImages/BloodImage_00343.jpg",
    }
    assert sum(len(each.boxes) for each in sets) == 4888 - 2
    assert all(each.class_names == ("Platelets", "RBC", "WBC") for each in sets)


def test_voc_2007_agrees_with_a_plain_reading_of_its_files(real_data: Path) -> None:
    dataset = load_voc(real_data / "voc2007", "2007/trainval")
    assert len(dataset) == 765
    assert not dataset.problems
    for i in range(0, len(dataset), 50):
        file = real_data / "voc2007/VOCdevkit/VOC2007/Annotations" / f"{dataset.image_id(i)}.xml"
        objects = list(ElementTree.parse(file).iter("object"))
        corners = ("xmin", "ymin", "xmax", "ymax")
        expected = [[float(item.findtext(f"bndbox/{name}")) for name in corners] for item in objects]
        np.testing.assert_allclose(dataset.target(i).boxes.numpy(), np.array(expected) - [1, 1, 0, 0])
        names = [dataset.class_names[label] for label in dataset.target(i).labels]
        assert names == [item.findtext("name") for item in objects]
