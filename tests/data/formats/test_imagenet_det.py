"""ImageNet DET on a tree of a few images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from detres.config.detection_schema import DataConfig
from detres.data.detection.datasets import load_dataset
from detres.data.formats.imagenet_classes import imagenet_synsets
from detres.data.formats.imagenet_det import det_classes, load_imagenet_det, recognize_imagenet_det
from detres.errors import DataError

OBJECT = "<object><name>{}</name><bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
TRAIN = {  # 60x40 pixels each: image name, its objects
    "ILSVRC2013_train/n02084071/n02084071_1": [("n02084071", 0, 0, 59, 39)],
    "ILSVRC2013_train/n02084071/n02084071_2": [("n02084071", 10, 5, 19, 14)],
    "ILSVRC2014_train_0000/ILSVRC2014_train_00000003": [("n02084071", 0, 0, 60, 40), ("n02672831", 1, 2, 3, 4)],
    "ILSVRC2013_train_extra0/ILSVRC2013_train_00000004": None,
}
VAL = {f"ILSVRC2012_val_0000000{number}": [("n02391049", number, 0, 9, 9)] for number in (1, 2, 3)}
DOG, ACCORDION, ZEBRA = 57, 0, 199


@pytest.fixture
def det_root(tmp_path: Path, write_picture: Callable[..., Path]) -> Path:
    below = tmp_path / "ILSVRC"
    for part, images in (("train", TRAIN), ("val", VAL), ("test", {"ILSVRC2012_test_00000001": None})):
        for seed, (name, objects) in enumerate(images.items()):
            write_picture(below / "Data" / "DET" / part / f"{name}.JPEG", seed=seed)
            if objects is not None:
                file = below / "Annotations" / "DET" / part / f"{name}.xml"
                file.parent.mkdir(parents=True, exist_ok=True)
                size = "<size><width>60</width><height>40</height></size>"
                boxes = "".join(OBJECT.format(*each) for each in objects)
                file.write_text(f"<annotation>{size}{boxes}</annotation>")
    lists = below / "ImageSets" / "DET"
    lists.mkdir(parents=True)
    rows = {number: [] for number in range(1, 201)}
    first, second, both, extra = TRAIN
    rows[DOG + 1] = [f"{first} 1", f"{second} 1", f"{both} 1", f"{extra} -1"]
    rows[ACCORDION + 1] = [f"{both} 1", f"{first} 0", f"{extra} -1"]
    for number, each in rows.items():
        (lists / f"train_{number}.txt").write_text("\n".join([*each, ""]))
    (lists / "val.txt").write_text("".join(f"{name} {place}\n" for place, name in enumerate(VAL, 1)))
    (lists / "test.txt").write_text("ILSVRC2012_test_00000001 1\n")
    (tmp_path / "val1.txt").write_text("ILSVRC2012_val_00000003\n\nval/ILSVRC2012_val_00000001.JPEG 1\n")
    return tmp_path


def test_the_classes_are_two_hundred_by_synset_in_the_devkits_order() -> None:
    classes = det_classes()
    names = list(classes.values())
    assert len(classes) == len(set(names)) == 200
    assert (names[DOG], names[ACCORDION], names[ZEBRA]) == ("dog", "accordion", "zebra")
    shared = {each.wnid: each.name for each in imagenet_synsets() if each.wnid in classes}
    assert sum(classes[wnid].lower() == name.lower() for wnid, name in shared.items()) > 100


def test_train_is_the_positives_of_all_classes_each_once(det_root: Path) -> None:
    dataset = load_imagenet_det(det_root, "train", strict=True)
    first, second, both, _ = TRAIN
    assert dataset.image_ids.tolist() == [both, first, second], "the accordion's list comes before the dog's"
    assert [dataset.path(i).is_file() for i in range(3)] == [True] * 3
    assert dataset.labels.tolist() == [DOG, ACCORDION, DOG, DOG]
    assert dataset.name == "imagenet-det-train"
    assert dataset.class_names == tuple(det_classes().values())


def test_inclusive_pixels_from_zero_become_continuous_edges_within_the_image(det_root: Path) -> None:
    dataset = load_imagenet_det(det_root, "train")
    assert dataset.boxes.tolist() == [[0, 0, 60, 40], [1, 2, 4, 5], [0, 0, 60, 40], [10, 5, 20, 15]]
    assert not dataset.problems


@pytest.mark.parametrize(("limit", "expected"), [(1, [2, 0]), (2, [2, 0]), (3, [2, 0, 1]), (9, [2, 0, 1])])
def test_positives_of_a_class_can_be_limited_evenly_over_its_list(
    det_root: Path, limit: int, expected: list[int]
) -> None:
    """Of the dog's three, one is the first, and two are the first and the last, which is the accordion's, too."""
    dataset = load_imagenet_det(det_root, f"train:{limit}")
    assert dataset.image_ids.tolist() == [list(TRAIN)[place] for place in expected]
    assert dataset.name == f"imagenet-det-train-{limit}"


def test_val1_is_read_from_a_file_of_the_users(det_root: Path) -> None:
    dataset = load_imagenet_det(det_root, "val1.txt")
    assert dataset.image_ids.tolist() == ["ILSVRC2012_val_00000003", "ILSVRC2012_val_00000001"]
    assert dataset.labels.tolist() == [ZEBRA] * 2
    (det_root / "val1.txt").rename(det_root / "ILSVRC" / "ImageSets" / "DET" / "val1.txt")
    assert load_imagenet_det(det_root, "val1").digest() == dataset.digest()
    assert load_imagenet_det(det_root / "ILSVRC", "val1").image_ids.tolist() == dataset.image_ids.tolist()


def test_a_list_that_names_absent_images_is_refused(det_root: Path) -> None:
    (det_root / "val1.txt").write_text("".join(f"ILSVRC2012_val_0000000{number}\n" for number in range(1, 9)))
    with pytest.raises(
        DataError, match=r"split val1: 5 of its 8 images are not in \S+DET \(val/ILSVRC2012_val_00000004"
    ):
        load_imagenet_det(det_root, "val1")


def test_a_list_that_is_not_there_says_where_it_belongs(det_root: Path) -> None:
    with pytest.raises(DataError, match=r"split val2: .*DET/val2\.txt, .*there are train, test, val; .*bring the list"):
        load_imagenet_det(det_root, "val2")
    with pytest.raises(DataError, match="split train:many: expected train, or train:N"):
        load_imagenet_det(det_root, "train:many")
    (det_root / "ILSVRC" / "ImageSets" / "DET" / "train_77.txt").unlink()
    with pytest.raises(DataError, match=r"train_77\.txt: there is no such list"):
        load_imagenet_det(det_root, "train")
    with pytest.raises(DataError, match=r"looked for at \S+nowhere/ILSVRC/ImageSets/DET.*ILSVRC2017_DET.tar.gz"):
        load_imagenet_det(det_root / "nowhere", "val")


def test_what_is_wrong_with_a_file_costs_only_what_it_concerns(det_root: Path) -> None:
    annotations = det_root / "ILSVRC" / "Annotations" / "DET" / "val"
    (annotations / "ILSVRC2012_val_00000001.xml").unlink()
    (annotations / "ILSVRC2012_val_00000002.xml").write_text("<annotation>")
    file = annotations / "ILSVRC2012_val_00000003.xml"
    file.write_text(file.read_text().replace("n02391049", "n00000000"))
    dataset = load_imagenet_det(det_root, "val")
    assert dataset.problem_counts() == {"annotation missing": 1, "annotation malformed": 1, "unknown class": 1}
    assert (len(dataset), len(dataset.boxes)) == (1, 0)


def test_a_test_has_no_boxes_and_says_so(det_root: Path) -> None:
    dataset = load_imagenet_det(det_root, "test", strict=True)
    assert (dataset.image_ids.tolist(), len(dataset.boxes)) == (["ILSVRC2012_test_00000001"], 0)
    assert dataset.problem_counts() == {"set without annotations": 1}


def test_a_config_joins_train_and_val1_and_selects_classes(det_root: Path) -> None:
    data = DataConfig(format="imagenet_det", root=str(det_root), train=("train:1000", "val1"), classes=("zebra", "dog"))
    dataset = load_dataset(data, "train")
    assert dataset.name == "imagenet-det-train-1000+imagenet-det-val1"
    assert len(dataset) == 5
    assert dataset.labels.tolist() == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_of_windows_lose_no_line(det_root: Path, encoding: str) -> None:
    lists = det_root / "ILSVRC" / "ImageSets" / "DET"
    for name in ("val", f"train_{DOG + 1}"):
        text = (lists / f"{name}.txt").read_text().replace("\n", "\r\n").replace("/", "\\" if name == "val" else "/")
        (lists / f"{name}.txt").write_bytes(text.encode(encoding))
    assert len(load_imagenet_det(det_root, "val")) == len(VAL)
    assert len(load_imagenet_det(det_root, "train")) == 3


def test_a_list_in_a_code_page_is_named(det_root: Path) -> None:
    (det_root / "val1.txt").write_bytes("ILSVRC2012_val_für".encode("latin-1"))
    with pytest.raises(DataError, match=r"val1\.txt: line 1 is no UTF-8 text"):
        load_imagenet_det(det_root, "val1")


@pytest.mark.parametrize("line", ["val/../../../../secret", "/../../secret", "train/..\\..\\..\\secret", "val/../x 1"])
def test_a_name_that_leads_out_of_the_set_is_left_out_and_said(det_root: Path, line: str) -> None:
    (det_root / "val1.txt").write_text(f"{next(iter(VAL))}\n{line}\n")
    images = load_imagenet_det(det_root, "val1")
    assert len(images) == 1
    assert [(problem.kind, problem.file) for problem in images.problems] == [("name outside the set", "val1")]


def test_a_value_that_is_none_is_counted(det_root: Path) -> None:
    file = det_root / "ILSVRC" / "Annotations" / "DET" / "val" / f"{next(iter(VAL))}.xml"
    file.write_text(file.read_text().replace("<bndbox>", "<truncated>half</truncated><bndbox>"))
    images = load_imagenet_det(det_root, "val")
    assert (images.problem_counts(), len(images.boxes)) == ({"annotation malformed": 1}, 3)


def test_its_folders_are_recognized(det_root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    found = recognize_imagenet_det(det_root)
    assert found is not None
    assert (found.root, found.train, found.val, found.test) == (det_root, ("train",), ("val",), ())
    assert recognize_imagenet_det(tmp_path_factory.mktemp("empty")) is None
