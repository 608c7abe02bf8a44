"""Sets as strangers bring them: each is read as it is meant, or gets one message with its mend."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Done = Callable[..., str]
Refused = Callable[..., str]

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def picture(file: Path, seed: int = 0, **saved: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((120, 90)).save(file, **saved)


def xml(file: Path, names: tuple[str, ...] = ("cat",), size: tuple[int, int] = (120, 90), of: str = "") -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    box = "<bndbox><xmin>11</xmin><ymin>11</ymin><xmax>50</xmax><ymax>60</ymax></bndbox>"
    objects = "".join(f"<object><name>{name}</name>{box}</object>" for name in names)
    shape = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    file.write_text(f"<annotation><filename>{of}</filename>{shape}{objects}</annotation>")


@pytest.fixture
def birds(tmp_path: Path) -> Path:
    """Six pictures with their XML beside them."""
    for number in range(6):
        picture(tmp_path / "birds" / f"p{number}.jpg", number)
        xml(tmp_path / "birds" / f"p{number}.xml")
    return tmp_path / "birds"


def whole(done: Done, place: Path | str) -> str:
    """What check_data says of a set of which nothing is set apart."""
    return done("check_data", "--data", place, "data.val_fraction=0")


# Where things lie, and what they are called.


def test_names_with_spaces_umlauts_and_in_chinese_and_endings_in_capitals(done: Done, tmp_path: Path) -> None:
    for number, name in enumerate(("my photo 1.jpg", "Käfer über.jpg", "照片.jpeg", "DSC_1.JPG")):
        stem = name.rpartition(".")[0]
        picture(tmp_path / name, number)
        xml(tmp_path / f"{stem}{'.XML' if name.isupper() else '.xml'}")
    told = whole(done, tmp_path)
    assert ", 4 images of " in told
    assert told.rstrip().endswith("no problems")


@pytest.mark.parametrize("folder", ["Annotations", "annotations", "labels", "Labels", "xml"])
def test_xml_in_a_folder_of_its_own(done: Done, tmp_path: Path, folder: str) -> None:
    for number in range(3):
        picture(tmp_path / "images" / f"p{number}.JPG", number)
        xml(tmp_path / folder / f"p{number}.xml")
    assert ", 3 images of " in whole(done, tmp_path)


@pytest.mark.parametrize("above", ["", "photos"])
def test_a_folder_a_day_is_one_set(done: Done, refused: Refused, tmp_path: Path, above: str) -> None:
    for number in range(4):
        picture(tmp_path / above / f"day{number % 2}" / f"p{number}.jpg", number)
        xml(tmp_path / above / f"day{number % 2}" / f"p{number}.xml")
    told = whole(done, tmp_path)
    assert "read as voc (day0 and day1 hold XML files and pictures)" in told
    assert ", 4 images of " in told
    assert "4 boxes, " in told


def test_yolo_in_a_folder_a_day_is_one_set(done: Done, refused: Refused, tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / f"day{number % 2}" / f"p{number}.jpg", number)
        (tmp_path / f"day{number % 2}" / f"p{number}.txt").write_text("0 0.5 0.5 0.2 0.3\n")
    assert "write them into " in refused("check_data", "--data", tmp_path, kind="DataError")
    (tmp_path / "classes.txt").write_text("cat\n")
    told = whole(done, tmp_path)
    assert "read as yolo (day0 and day1 hold text files of labels)" in told
    assert "4 boxes, " in told


@pytest.mark.parametrize("names", [("train_a", "train_b", "val_a", "val_b"), ("only",)])
def test_folders_that_tell_splits_are_not_thrown_together(
    refused: Refused, done: Done, tmp_path: Path, names: tuple[str, ...]
) -> None:
    for number, name in enumerate(names):
        picture(tmp_path / name / f"p{number}.jpg", number)
        xml(tmp_path / name / f"p{number}.xml")
    if len(names) > 1:
        assert "a folder needs a data.yaml" in refused("train_det", "--data", tmp_path, kind="DataError")
    else:
        assert "in only/, read as voc (only/ holds 1 XML file)" in whole(done, tmp_path)


def test_a_slash_at_the_end_and_the_home(done: Done, birds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(birds.parent))
    for place in (f"{birds}/", "~/birds"):
        assert ", 6 images of " in whole(done, place)


@pytest.mark.parametrize("mistyped", ["birs", "Birds", "brids"])
@pytest.mark.parametrize("below", ["", "/train"])
def test_a_folder_that_is_not_there_gets_the_nearest(
    refused: Refused, birds: Path, monkeypatch: pytest.MonkeyPatch, mistyped: str, below: str
) -> None:
    wrong = f"{birds.parent / mistyped}{below}"
    expected = f"DataError: --data {wrong}: there is no such file or folder; did you mean {birds}?\n"
    assert refused("check_data", "--data", wrong, kind="DataError") == expected
    monkeypatch.chdir(birds.parent)
    assert refused("train_det", "--data", mistyped, kind="DataError").endswith("; did you mean birds?\n")


def test_a_file_in_place_of_the_folder(refused: Refused, birds: Path) -> None:
    (birds / "notes.txt").write_text("of June")
    (birds / "set.rar").write_bytes(b"Rar!\x1a\7")
    for name, mend in (
        ("p0.xml", f"as --data {birds}, "),
        ("notes.txt", f"as --data {birds}, "),
        ("p0.jpg", "a set is a folder of pictures"),
        ("set.rar", "unpack it, and give its folder"),
    ):
        message = refused("check_data", "--data", birds / name, kind="DataError")
        assert message.startswith(f"DataError: --data {birds / name}: ")
        assert mend in message
        assert message.count("\n") == 1


# What the pictures are.


def test_pictures_of_other_kinds_are_read_and_heic_is_told_its_mend(done: Done, tmp_path: Path) -> None:
    for number, ending in enumerate(("jpg", "webp", "gif", "bmp", "tiff", "png")):
        picture(tmp_path / f"p{number}.{ending}", number)
        xml(tmp_path / f"p{number}.xml", of=f"p{number}.{ending}")
    (tmp_path / "phone.heic").write_bytes(HEIC)
    xml(tmp_path / "phone.xml", of="phone.heic")
    told = whole(done, tmp_path)
    assert ", 6 images of " in told
    assert "image unreadable: phone.heic: this is an HEIC image, which is not read here; save it as JPEG" in told


def test_a_photo_that_a_camera_turned_is_as_it_was_labelled(done: Done, birds: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    picture(birds / "turned.jpg", 7, exif=exif)
    xml(birds / "turned.xml", size=(90, 120))
    told = whole(done, birds)
    assert ", 7 images of " in told
    assert told.rstrip().endswith("no problems")


def test_a_damaged_photo_costs_itself_alone(done: Done, birds: Path) -> None:
    (birds / "p2.jpg").write_bytes((birds / "p2.jpg").read_bytes()[:200])
    (birds / "p3.jpg").write_bytes(b"no image")
    told = whole(done, birds)
    assert ", 4 images of " in told
    assert "image unreadable 2" in told
    assert "p3.jpg: this is no image that is read here; left out" in told


def test_a_photo_without_labels_and_labels_without_their_photo_are_told(done: Done, birds: Path) -> None:
    (birds / "p0.jpg").unlink()
    (birds / "p1.xml").unlink()
    (birds / "p2.xml").write_text("")
    told = whole(done, birds)
    assert ", 3 images of " in told
    assert "image missing: p0.jpg: there is no such file" in told
    assert "annotation missing: p1.jpg: no XML is of it" in told
    assert "annotation malformed: p2.xml: this is no XML" in told


# What is on them.


def test_a_set_of_nothing_but_images_of_nothing(refused: Refused, birds: Path) -> None:
    for file in birds.glob("*.xml"):
        xml(file, ())
    for command in (("check_data",), ("train_det", "--dry-run", "--device", "cpu")):
        message = refused(*command, "--data", birds, kind="DataError")
        assert message.endswith(
            f"{birds}: no annotation there names a class, so that there is nothing to find; draw boxes on some of its "
            "images, or name the label file or folder that has them\n"
        )


def test_a_val_without_boxes_is_told_before_hours_of_training(done: Done, birds: Path, tmp_path: Path) -> None:
    for split, numbers in (("train", range(4)), ("val", range(4, 6))):
        (tmp_path / "set" / split).mkdir(parents=True)
        for number in numbers:
            shutil.copy(birds / f"p{number}.jpg", tmp_path / "set" / split)
            xml(tmp_path / "set" / split / f"p{number}.xml", ("cat",) if split == "train" else ())
    told = done("check_data", "--data", tmp_path / "set")
    assert "nothing to measure: set-val: none of its images has a box, so that no figure is defined" in told


def test_what_is_wrong_with_a_file_is_told_once_where_a_part_is_set_apart(done: Done, birds: Path) -> None:
    (birds / "p2.xml").write_text("<annotation><obj")
    told = done("check_data", "--data", birds)
    assert "\nval: a part of birds, 1 image of 120x90 to 120x90 pixels, 0 of them without boxes\n" in told
    assert "  1 problem: annotation malformed 1\n" in told
    assert told.count("p2.") == 1, "neither its picture, nor with val once more"


def test_a_part_set_apart_without_a_box_is_mended_by_a_larger_one(done: Done, birds: Path) -> None:
    for number in range(1, 6):
        xml(birds / f"p{number}.xml", ())
    told = done("check_data", "--data", birds)
    assert "of a part of birds" not in told
    assert "no checkpoint the best; have more set apart, such as data.val_fraction=0.3, or name those" in told
    assert "\n  0 boxes, 0 to be ignored, 0 truncated, 0 at most in an image: cat 0\n" in told
    assert "sides from 0" not in told


def test_pictures_that_a_table_does_not_name_are_told(done: Done, birds: Path) -> None:
    for number in range(6):
        (birds / f"p{number}.xml").unlink()
    rows = "".join(f"p{number}.jpg,1,2,30,40,dog\n" for number in range(4))
    (birds / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,class\n{rows}")
    assert (
        "pictures not named: boxes.csv: it does not name 2 pictures there, such as p4.jpg, which are no part of the "
        "set; what has nothing to find is named without a box"
    ) in whole(done, birds)
    (birds / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,class\n{rows}p4.jpg,,,,,\np5.jpg,,,,,\n")
    assert "not named" not in whole(done, birds)


def test_a_table_with_bad_rows_at_its_beginning_is_one_all_the_same(done: Done, birds: Path) -> None:
    for number in range(6):
        (birds / f"p{number}.xml").unlink()
    rows = "p0.jpg,120,90,ball,10,10,50,30\np1.jpg,120,90,box,1,1,30\np2.jpg,120,90,box,a,1,30,40\n"
    (birds / "train.csv").write_text(f"filename,width,height,class,xmin,ymin,xmax,ymax\n{rows}")
    told = whole(done, birds)
    assert "read as csv" in told
    assert "annotation malformed: train.csv: line 3: " in told
    assert "annotation malformed: train.csv: line 4: " in told


def test_a_problem_of_several_lines_has_them(done: Done, birds: Path) -> None:
    (birds / "train").mkdir()
    (birds / "val").mkdir()
    for number in range(6):
        split = "val" if number == 5 else "train"
        for ending in ("jpg", "xml"):
            (birds / f"p{number}.{ending}").rename(birds / split / f"p{number}.{ending}")
    file = birds / "val" / "p5.xml"
    file.write_text(file.read_text().replace("<xmax>50", "<xmax>5"))
    told = done("check_data", "--data", birds)
    assert "so there is nothing to measure:\n  box without area: val/p5.jpg: " in told
    assert "\\n" not in told


def test_a_name_of_two_lines_is_told_in_one(done: Done, birds: Path, tmp_path: Path) -> None:
    picture(birds / "new\nline.jpg")
    assert "annotation missing: new\\nline.jpg: " in whole(done, birds)
    told = done("convert_data", birds, tmp_path / "out", "--to", "yolo")
    assert "annotation missing, such as new\\nline.jpg: " in told


def test_a_link_that_leads_to_itself_is_a_picture_that_is_missing(done: Done, birds: Path) -> None:
    (birds / "p0.jpg").unlink()
    (birds / "p0.jpg").symlink_to("p0.jpg")
    told = whole(done, birds)
    assert ", 5 images of " in told
    assert "p0.jpg" in told


def test_an_annotation_file_in_annotations_has_its_pictures_beside_that(
    done: Done, birds: Path, tmp_path: Path
) -> None:
    done("convert_data", birds, tmp_path / "coco", "--to", "coco")
    (file,) = (tmp_path / "coco").rglob("*.json")
    (tmp_path / "own" / "annotations").mkdir(parents=True)
    shutil.copy(file, tmp_path / "own" / "annotations" / "instances_train.json")
    (tmp_path / "own" / "images").mkdir()
    for each in (tmp_path / "coco").rglob("*.jpg"):
        shutil.copy(each, tmp_path / "own" / "images")
    told = whole(done, tmp_path / "own" / "annotations" / "instances_train.json")
    assert ", 6 images of " in told


def test_nothing_is_written_among_the_pictures(refused: Refused, birds: Path) -> None:
    message = refused("convert_data", birds, birds / "in" / "it", "--to", "yolo")
    assert f"OUT {birds / 'in' / 'it'} lies in the set itself, {birds}; name a folder beside it" in message
    message = refused("train_det", "--cfg", "shapes_r18", f"data.root={birds}", "--out", birds)
    assert f"--out {birds}: it is the folder of the images (data.root); name another for the run" in message


def test_a_slip_of_the_pen_is_told_before_the_set_is_read(refused: Refused, birds: Path, capsys: Any) -> None:
    refused("train_det", "--data", birds / "none", "training.precision=fp32")
    refused("train_det", "--data", birds / "none", "--time", "0m")


def test_a_class_s_name_turns_no_line_around(done: Done, birds: Path) -> None:
    xml(birds / "p0.xml", ("ca\u202et",))
    told = whole(done, birds)
    assert "ca\\u202et 1" in told
    assert "\u202e" not in told


def test_yolo_s_classes_that_are_counted_from_1(done: Done, tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    for number in range(3):
        picture(tmp_path / f"p{number}.jpg", number)
        (tmp_path / f"p{number}.txt").write_text("1 0.5 0.5 0.2 0.3\n2 0.2 0.2 0.1 0.1\n")
    assert "no label is of class 0, and some are of class 2, as if they were counted from 1" in whole(done, tmp_path)
    (tmp_path / "p0.txt").write_text("0 0.5 0.5 0.2 0.3\n")
    assert "counted from 1" not in whole(done, tmp_path)


def test_two_formats_at_once_are_refused_with_the_keys_of_each(
    refused: Refused, done: Done, birds: Path, tmp_path: Path
) -> None:
    rows = "".join(f"p{number}.jpg,1,2,30,40,dog\n" for number in range(6))
    (birds / "boxes.csv").write_text(f"image,xmin,ymin,xmax,ymax,class\n{rows}")
    lines = refused("check_data", "--data", birds, kind="DataError").splitlines()
    assert "it can be read in several ways; take away what is not meant" in lines[0]
    keys = {line.strip().split(":")[0]: shlex.split(keys) for line, keys in zip(lines[1::2], lines[2::2], strict=True)}
    assert set(keys) == {"voc", "csv"}
    assert "in an image: dog " in done("check_data", *keys["csv"])


def test_blanks_around_a_class_are_none_of_its_name(done: Done, birds: Path) -> None:
    xml(birds / "p0.xml", (" cat\t",))
    assert "in an image: cat 6\n" in whole(done, birds)


def test_one_photo_and_time_that_says_no_unit(refused: Refused, birds: Path) -> None:
    assert refused("train_det", "--data", birds, "--time", "2").endswith(
        "--time 2: expected a time above 0, such as 2h, 90m or 1h30m\n"
    )
    for number in range(1, 6):
        (birds / f"p{number}.jpg").unlink()
        (birds / f"p{number}.xml").unlink()
    message = refused("train_det", "--data", birds, "--dry-run", "--device", "cpu", kind="DataError")
    assert "of 1 image leaves none to train on; bring more" in message


def test_epochs_beside_steps_and_patience_without_val(refused: Refused, birds: Path) -> None:
    start = ("train_det", "--data", birds, "--dry-run", "--device", "cpu")
    assert "both say how long the run is; leave one of them out" in refused(
        *start, "training.epochs=3", "training.steps=5"
    )
    message = refused(*start, "training.patience=3", "data.val_fraction=0")
    assert message.startswith("ConfigError: training.patience=3: training.patience changes nothing here")


def test_a_precision_that_the_machine_has_not_is_told_with_data_alone(refused: Refused, birds: Path) -> None:
    message = refused("train_det", "--data", birds, "--dry-run", "--device", "cpu", "training.precision=float16")
    assert "training.precision=float16: a CPU is many times slower in it" in message


def test_places_are_looked_at_before_the_set(refused: Refused, birds: Path, tmp_path: Path) -> None:
    nowhere = birds / "none"
    (tmp_path / "file").touch()
    assert "file: this folder cannot be made (a file has its name)" in refused(
        "train_det", "--data", nowhere, "--out", tmp_path / "file"
    )
    (tmp_path / "run" / "checkpoints" / "last").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / "last" / "model.safetensors").touch()
    refused("train_det", "--data", nowhere, "--out", tmp_path / "run")
    assert "not to be had here" in refused("train_det", "--data", nowhere, "--device", "cuda:7")
    message = refused("train_det", "--out", tmp_path / "nothere", "--resume")
    assert f"--out {tmp_path / 'nothere'}: there is no run to go on with" in message
