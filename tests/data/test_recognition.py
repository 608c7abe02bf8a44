"""--data FOLDER, asked of every format."""

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from detres.config.loading import read_override, resolve
from detres.data.data_file import read_data_file, task_of_data_file
from detres.data.detection.datasets import load_dataset, load_split
from detres.data.recognition import levels, looked_for, recognize
from detres.errors import DataError
from detres.tables import DETECTION_FORMATS


def test_one_format_that_knows_it_is_used_and_said(voc_root: Path) -> None:
    shutil.rmtree(voc_root / "ImageSets")
    data, said, stated = read_data_file(voc_root)
    assert said == (
        f"--data {voc_root}: read as voc (Annotations/ holds 3 XML files); train: ., val: 0.1 of it, set apart with "
        "near-duplicates kept together",
    )
    assert (data.format, data.train, data.val_fraction, data.val_groups, stated) == (
        *("voc", (".",), 0.1, "near_duplicates", False),
    )
    assert [len(load_dataset(data, split)) for split in ("train", "val")] == [2, 1]


@pytest.mark.parametrize("folder", ["set", "it's a set, [1] #2"])
def test_of_several_each_is_named_with_keys_that_choose_it(
    voc_root: Path, tmp_path_factory: pytest.TempPathFactory, folder: str
) -> None:
    root = tmp_path_factory.mktemp("several") / folder
    shutil.copytree(voc_root / "JPEGImages", root / "images")
    shutil.copytree(voc_root / "Annotations", root / "Annotations")
    content = {
        "images": [{"id": number, "file_name": f"{name}.png"} for number, name in enumerate("abc")],
        "annotations": [{"image_id": number, "category_id": 1, "bbox": [1, 1, 5, 5]} for number in range(3)],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (root / "train.json").write_text(json.dumps(content))
    (root / "labels").mkdir()
    (root / "labels" / "a.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    with pytest.raises(DataError, match="it can be read in several ways") as caught:
        read_data_file(root)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0].strip() for line in lines[1::2]] == ["coco", "voc", "yolo"]
    assert "the names of their classes are nowhere" in lines[-1]
    for line, images in zip(lines[2::2], (2, 2), strict=True):
        config = resolve([read_override(text) for text in shlex.split(line)])
        assert len(load_split(config.data, "train")) == images
    assert task_of_data_file(root) == "detection"


def test_a_yaml_that_describes_the_set_wins_whatever_its_name(voc_root: Path) -> None:
    (voc_root / "birds.yaml").write_text("format: voc\nroot: .\ntrain: train\ntest: test\n")
    (voc_root / "settings.yaml").write_text("names: [a]\n")
    data, said, stated = read_data_file(voc_root)
    assert (data.train, data.test, stated) == (("train",), ("test",), True)
    assert said == (f"--data {voc_root}: read as birds.yaml says",)
    (voc_root / "more.yaml").write_text("format: voc\nroot: .\ntrain: test\n")
    with pytest.raises(DataError, match=r"birds\.yaml, more\.yaml describe a set each"):
        read_data_file(voc_root)
    (voc_root / "data.yaml").write_text("format: voc\nroot: .\ntrain: test\n")
    assert read_data_file(voc_root).data.train == ("test",)


def test_a_set_in_a_folder_of_its_own_is_found_and_no_deeper_than_that(
    voc_root: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outer = tmp_path_factory.mktemp("outer")
    shutil.copytree(voc_root, outer / "a" / "b")
    (outer / "README.txt").touch()
    data, said, _ = read_data_file(outer)
    assert data.root == str(outer / "a" / "b")
    assert "in a/b/, read as voc" in said[0]
    (outer / "other").mkdir()
    assert list(levels(outer)) == [outer]
    with pytest.raises(DataError, match="it holds 1 other file, 2 folders"):
        read_data_file(outer)


def test_a_folder_that_no_format_knows_says_what_was_looked_for(tmp_path: Path, write_picture: Callable) -> None:
    with pytest.raises(DataError, match=r"(?s)a folder needs a data\.yaml.*it is empty") as caught:
        read_data_file(tmp_path)
    assert looked_for() in str(caught.value)
    assert all(f"\n  {name}: " in str(caught.value) for name in ("coco", "voc", "yolo"))
    for number in range(3):
        write_picture(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match="it holds 3 images; pictures without labels teach nothing"):
        read_data_file(tmp_path)
    with pytest.raises(DataError, match="this is one picture; a set is a folder"):
        read_data_file(tmp_path / "0.png")


def test_an_annotation_file_is_a_set_by_itself(coco_root: Path) -> None:
    (file,) = coco_root.rglob("*.json")
    data, said, _ = read_data_file(file)
    assert (data.format, data.root) == ("coco", str(coco_root))
    assert (*data.train, *data.val) == (f"annotations/{file.name}",)
    assert "read as coco (an annotation file)" in said[0]


def test_whoever_recognizes_says_by_what() -> None:
    for name in DETECTION_FORMATS:
        entry = DETECTION_FORMATS[name]
        assert (entry.recognize is None) == (entry.known_by is None), name
    assert recognize(Path("absent")) is None
