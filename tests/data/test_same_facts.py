"""One fact, one truth: whatever two readers tell of the same thing is the same.

Of VOC and YOLO sets: class names and boxes, images of a folder, names in every encoding, one set in two formats.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from xml.dom import minidom

import numpy as np
import pytest

from detres.data.data_file import load_data_file
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_dataset
from detres.data.formats.class_folders import load_folder
from detres.data.formats.voc.reading import load_voc
from detres.data.formats.voc.xml import class_names_of, parse_annotation
from detres.data.formats.yolo.reading import load_yolo
from detres.data.images.files import find_images
from detres.tasks.detection.predicting import find_inputs

Write = Callable[..., Path]

NAMES = ("cat", "salt & pepper", "café", "狗", "<tag>", "a  b", '"quoted"', "O'Neill", "10", "x\u00a0y")


def _xml(name: str, encoding: str, form: str) -> bytes:
    escaped = name.replace("&", "&amp;").replace("<", "&lt;")
    forms = {
        "plain": f"<object><name>{escaped}</name>",
        "attribute": f"<object id='1'><name lang='en'>\n {escaped} </name>",
        "cdata": f"<object><name><![CDATA[{name}]]></name>",
        "part": f"<object><part><name>head</name></part><name>{escaped}</name>",
        "comment": f"<object><!-- <name>no</name> --><name>{escaped}<!-- one --></name>",
    }
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>10</xmax><ymax>20</ymax></bndbox></object>"
    declared = f'<?xml version="1.0" encoding="{encoding}"?>'
    return f"{declared}<annotation>{forms[form]}{box}</annotation>".encode(encoding, errors="xmlcharrefreplace")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "windows-1252", "us-ascii"])
@pytest.mark.parametrize("form", ["plain", "attribute", "cdata", "part", "comment"])
def test_every_reader_of_a_voc_file_finds_the_same_class(
    tmp_path: Path, write_picture: Write, encoding: str, form: str
) -> None:
    for folder in ("Annotations", "ImageSets/Main"):
        (tmp_path / folder).mkdir(parents=True)
    write_picture(tmp_path / "JPEGImages" / "a.png")
    file = tmp_path / "Annotations" / "a.xml"
    (tmp_path / "ImageSets" / "Main" / "train.txt").write_text("a\n")
    for name in NAMES:
        if form == "cdata" and not name.isascii() and encoding != "utf-8" and encoding != "utf-16":
            continue  # no reference can be written there
        file.write_bytes(_xml(name, encoding, form))
        images = load_voc(tmp_path, "train")
        readings = {
            "class_names": images.class_names,
            "boxes": tuple(images.class_names[label] for label in images.labels),
            "parse_annotation": tuple(box.name for box in parse_annotation(file).boxes),
            "class_names_of": tuple(class_names_of(str(file))),
            "a parser of another house": (_by_minidom(file),),
        }
        for (one, first), (other, second) in itertools.combinations(readings.items(), 2):
            assert first == second == (name,), f"{one} and {other} of {name}"


def _by_minidom(file: Path) -> str:
    (item,) = minidom.parse(str(file)).getElementsByTagName("object")
    (name,) = [node for node in item.childNodes if node.nodeName == "name"]
    text = "".join(node.data for node in name.childNodes if node.nodeType != node.COMMENT_NODE)
    return text.strip(" \n")


def test_every_reader_of_a_folder_finds_the_same_images(tmp_path: Path, write_picture: Write) -> None:
    """Training of detectors and classifiers, and prediction."""
    root = tmp_path / "set"
    names = ["cat/a.png", "cat/b.PNG", "cat/deep/c.jpe", "cat/d.jpg", "cat/IMG 1 (2).jpg", "dog/e.webp", "dog/f.bmp"]
    for name in [*names, "cat/.hidden.png", "cat/._a.png", "dog/.ipynb_checkpoints/e.png", "dog/@eaDir/e.png"]:
        write_picture((root / name).with_suffix(".png")).rename(root / name)
    write_picture(tmp_path / "store" / "g.png")
    (root / "dog" / "linked").symlink_to(tmp_path / "store")
    (root / "dog" / "loop").symlink_to(root)
    (tmp_path / "classes.txt").write_text("cat\n")
    expected = sorted([*names, "dog/linked/g.png"])
    yolo, folder = load_yolo(tmp_path, "set"), load_folder(root, ".")
    readings = {
        "find_images": [path.relative_to(root).as_posix() for path in find_images(root)],
        "predict": [item.path.relative_to(root).as_posix() for item in find_inputs([str(root)])[0]],
        "yolo": [yolo.file_name(i).removeprefix("set/") for i in range(len(yolo))],
        "class folders": [folder.image_id(i) for i in range(len(folder))],
    }
    for (one, first), (other, second) in itertools.combinations(readings.items(), 2):
        assert sorted(first) == sorted(second) == expected, f"{one} and {other}"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_names_in_a_data_yaml_and_in_classes_txt_are_the_same(
    tmp_path: Path, write_picture: Write, encoding: str
) -> None:
    names = ["café", "狗", "salt & pepper", "10"]
    for folder in ("one", "other"):
        write_picture(tmp_path / folder / "images" / "a.png")
        (tmp_path / folder / "images" / "a.txt").write_text("2 0.5 0.5 0.5 0.5\n")
    lines = "".join(f"  {number}: {name}\r\n" for number, name in enumerate(names))
    (tmp_path / "one" / "data.yaml").write_bytes(f"train: images\r\nnames:\r\n{lines}".encode(encoding))
    (tmp_path / "other" / "data.yaml").write_bytes("format: yolo\r\nroot: .\r\ntrain: images\r\n".encode(encoding))
    (tmp_path / "other" / "classes.txt").write_bytes("\r\n".join(names).encode(encoding))
    given = ["one", "one/data.yaml", "other", "other/data.yaml"]
    sets = [load_dataset(load_data_file(tmp_path / each), "train") for each in given]
    assert [each.class_names for each in sets] == [tuple(names)] * len(given)
    assert [each.labels.tolist() for each in sets] == [[2]] * len(given)


def test_one_set_in_both_formats_is_the_same_set(voc_root: Path) -> None:
    voc = load_voc(voc_root, "train")
    (voc_root / "classes.txt").write_text("\n".join(voc.class_names))
    (voc_root / "JPEGImages" / "c.png").unlink()
    for i in range(len(voc)):
        (voc_root / "JPEGImages" / f"{voc.image_id(i)}.txt").write_text(_yolo_lines(voc, i))
    yolo = load_yolo(voc_root, "JPEGImages")
    assert yolo.class_names == voc.class_names
    assert [yolo.file_name(i) for i in range(len(yolo))] == [voc.file_name(i) for i in range(len(voc))]
    for name in ("labels", "offsets", "sizes", "image_ids"):
        np.testing.assert_array_equal(getattr(yolo, name), getattr(voc, name))
    np.testing.assert_allclose(yolo.boxes, voc.boxes, atol=1e-4)


def _yolo_lines(images: AnnotatedImages, i: int) -> str:
    height, width = images.size(i)
    lines = []
    for box, label in zip(images.target(i).boxes.tolist(), images.target(i).labels.tolist(), strict=True):
        x1, y1, x2, y2 = box
        lines.append(
            f"{label} {(x1 + x2) / 2 / width} {(y1 + y2) / 2 / height} {(x2 - x1) / width} {(y2 - y1) / height}"
        )
    return "\n".join(lines)
