"""Thirty photos, labelled with whatever tool: the same boxes are found, and the training begins."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from detres.commands.main import main
from detres.data.data_file import read_data_file
from detres.data.detection.datasets import load_split
from detres.tasks.detection.finetune import trial
from tests.new_user.forms import FORMS
from tests.new_user.photos import CLASSES, HEIGHT, WIDTH, Corners, Photo, described

Label = Callable[[str], Path]
Capture = pytest.CaptureFixture[str]
Described = dict[str, list[tuple[str, Corners]]]

# Small pictures, and few looks at them.
TINY = (
    *("model.backbone.name=resnet18", "data.shortest_side=64", "data.longest_side=96", "model.fpn.channels=32"),
    *("model.rpn.pre_nms_train=60", "model.rpn.post_nms_train=20", "model.roi.batch_per_image=16"),
    *("model.rpn.pre_nms_test=60", "model.rpn.post_nms_test=20", "model.roi.head_fc_channels=32", "--device", "cpu"),
)
SPLIT_BY_THEMSELVES = ("roboflow", "voc", "yolo", "createml")


def expected(form: str, photos: list[Photo]) -> Described:
    return {name: things for name, things in described(photos).items() if things or FORMS[form].has_empty}


def read(place: Path) -> Described:
    """What detres makes of a place, of train and val together; edges are rounded, as shares have six digits."""
    data = read_data_file(place).data
    found: Described = {}
    for split in ("train", "val"):
        images = load_split(data, split)
        assert images.class_names == CLASSES
        for i in range(len(images)):
            assert images.size(i) == (HEIGHT, WIDTH)
            target = images.target(i)
            boxes = target.boxes.tolist()
            assert all(abs(edge - round(edge)) < 0.01 for box in boxes for edge in box)
            names = [images.class_names[label] for label in target.labels.tolist()]
            things = [(name, _corners(box)) for name, box in zip(names, boxes, strict=True)]
            name = Path(images.file_name(i)).name
            assert name not in found, "in train and in val"
            found[name] = sorted(things)
    return found


def _corners(box: Iterable[float]) -> Corners:
    x1, y1, x2, y2 = map(round, box)
    return x1, y1, x2, y2


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_is_known_and_read_box_for_box(form: str, labelled: Label, photos: list[Photo]) -> None:
    root = labelled(form)
    found = read_data_file(root)
    assert found.data.format == FORMS[form].read_as
    assert bool(found.data.val_fraction) == (form not in SPLIT_BY_THEMSELVES)
    assert read(root) == expected(form, photos)


@pytest.mark.slow
@pytest.mark.parametrize("form", list(FORMS))
def test_check_data_counts_them_and_they_are_converted_as_they_are(
    form: str, labelled: Label, photos: list[Photo], tmp_path: Path, capsys: Capture
) -> None:
    root, out = labelled(form), tmp_path / "converted"
    assert main(["check_data", "--data", str(root), "data.val_fraction=0"]) == 0
    told = capsys.readouterr().out
    boxes = [int(line.split()[0]) for line in told.splitlines() if " boxes, " in line]
    assert sum(boxes) == sum(len(photo.things) for photo in photos)
    assert main(["convert_data", str(root), str(out), "--to", "coco", "--link"]) == 0
    assert converted(out) == expected(form, photos)


def converted(folder: Path) -> Described:
    """COCO's files in a folder, of all splits, read with nothing but json."""
    found: Described = {}
    for file in folder.rglob("*.json"):
        content = json.loads(file.read_text())
        names = {each["id"]: each["name"] for each in content["categories"]}
        files = {each["id"]: Path(each["file_name"]).name for each in content["images"]}
        found |= {name: [] for name in files.values()}
        for each in content["annotations"]:
            x, y, wide, high = each["bbox"]
            thing = (names[each["category_id"]], _corners((x, y, x + wide, y + high)))
            found[files[each["image_id"]]].append(thing)
    return {name: sorted(things) for name, things in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("form", ["coco", "labelimg", "yolo", "darknet", "tensorflow_csv", "labelme", "cvat"])
def test_the_training_begins(form: str, labelled: Label, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    begin(labelled(form), monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["labelstudio", "createml", "openimages"])
def test_the_training_begins_with_its_zip(
    form: str, labelled: Label, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    root = labelled(form)
    begin(Path(shutil.make_archive(str(root), "zip", root)), monkeypatch, capsys)


def begin(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    # A real run takes its time to find out how fast the machine is.
    monkeypatch.setattr(trial, "_ENOUGH", 0.0)
    monkeypatch.setattr(trial, "_LEAST_ROUNDS", 1)
    assert main(["train_det", "--data", str(place), "--dry-run", *TINY]) == 0
    told = capsys.readouterr().out
    assert "data: " in told
    assert f" boxes of {', '.join(CLASSES)}" in told
    assert told.rstrip().endswith("dry run done")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["voc", "labelimg", "yolo", "tensorflow_csv", "labelme"])
def test_a_zip_as_a_mac_makes_it_holds_the_same(
    form: str, labelled: Label, photos: list[Photo], tmp_path: Path
) -> None:
    """With the folder around all, its view, and a resource fork of each file."""
    root, archive = labelled(form), tmp_path / "Photos of June.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in sorted(each for each in root.rglob("*") if each.is_file()):
            name = file.relative_to(root)
            packed.write(file, f"My photos/{name}")
            packed.writestr(f"__MACOSX/My photos/{name.parent}/._{name.name}", b"\0\5\26\7\0\2\0\0Mac OS X")
        packed.writestr("My photos/.DS_Store", b"\0\0\0\1Bud1")
    assert read(archive) == expected(form, photos)
