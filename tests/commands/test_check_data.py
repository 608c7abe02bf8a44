"""check_data tells what is wrong and reports what it can; training tells the same, and refuses what teaches nothing."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.commands.main import main

Done = Callable[..., str]
SHORT = ("training.steps=1", "--device", "cpu")


@pytest.fixture
def tiny_copy(tiny: Any, tmp_path: Path) -> Path:
    """The tiny set, to be spoilt; coco.yaml names its COCO files."""
    return Path(shutil.copytree(tiny.root, tmp_path / "set"))


def _spoil(folder: Path, split: str, spoil: Callable[[dict[str, Any]], None]) -> None:
    file = folder / "coco" / f"{split}.json"
    content = json.loads(file.read_text())
    spoil(content)
    file.write_text(json.dumps(content))


def _train_on(folder: Path, tiny: Any, out: Path) -> tuple[str | Path, ...]:
    return ("train_det", "--cfg", tiny.cfg, "--data", folder / "coco.yaml", "--out", out, *SHORT)


def test_a_test_that_is_named_and_absent_hides_nothing(done: Done, tiny_copy: Path) -> None:
    (tiny_copy / "coco" / "test.json").unlink()
    told = done("check_data", "--data", tiny_copy / "coco.yaml")
    assert "train: coco-train, 7 images" in told
    assert "test: cannot be used: " in told
    assert "test.json: there is no such annotation file" in told
    assert "detres prepare coco" not in told


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("task", ["detection", "classification"])
def test_what_is_trained_or_judged_on_and_cannot_be_used_is_an_exit_status(
    tiny: Any, tiny_classes: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], split: str, task: str
) -> None:
    """The rest is reported all the same."""
    names = {"train": "train", "val": "test" if task == "detection" else "val", split: "absent"}
    other = "val" if split == "train" else "train"
    overrides = [f"data.{each}=[{name}]" for each, name in names.items()]
    cfg = tiny.cfg if task == "detection" else tiny_classes.cfg
    assert main(["check_data", "--cfg", str(cfg), *overrides]) == 2
    told = capsys.readouterr()
    assert f"{split}: cannot be used: " in told.out
    assert f"\n{other}: " in f"\n{told.out}"
    assert f"\n{other}: cannot" not in f"\n{told.out}"
    assert not told.err


def test_an_absent_split_of_classes_hides_nothing_either(
    done: Done, refused: Done, tiny_classes: Any, tmp_path: Path
) -> None:
    whole = (f"format: folder\nroot: {tiny_classes.root}\n", "train: train\ntest: absent\n")
    (tmp_path / "mine.yaml").write_text("".join(whole))
    told = done("check_data", "--data", tmp_path / "mine.yaml")
    assert "10 images" in told
    assert "test: cannot be used: " in told
    (tmp_path / "mine.yaml").write_text(whole[0] + "train:\ntest: absent\n")
    assert "absent" in refused("check_data", "--data", tmp_path / "mine.yaml", kind="DataError")


def test_a_folder_of_classes_is_told_as_what_it_is_read(done: Done, tiny_classes: Any) -> None:
    told = done("check_data", "--data", tiny_classes.root)
    root = tiny_classes.root
    assert told.startswith(f"--data {root}: read as folder (2 class folders in train); train: train, val: val\n")


def test_a_set_of_crowds_is_refused_by_training_and_explained_by_check_data(
    found_useless: Done, refused: Done, tiny_copy: Path, tiny: Any, run_folder: Path
) -> None:
    _spoil(tiny_copy, "train", lambda content: [each.update(iscrowd=1) for each in content["annotations"]])
    told = found_useless("check_data", "--data", tiny_copy / "coco.yaml")
    assert "nothing to learn from 1" in told
    message = refused(*_train_on(tiny_copy, tiny, run_folder), kind="DataError")
    for said in (told, message):
        assert "all 12 boxes are to be ignored (12 crowd, 0 difficult)" in said
        assert "data.difficult=positive" in said
    assert not (run_folder / "checkpoints").exists()


def test_a_set_whose_boxes_are_all_left_out_says_why(
    found_useless: Done, refused: Done, tiny_copy: Path, tiny: Any, run_folder: Path
) -> None:
    _spoil(tiny_copy, "train", lambda content: [each.update(category_id="cat") for each in content["annotations"]])
    told = found_useless("check_data", "--data", tiny_copy / "coco.yaml")
    assert "unknown class 12" in told
    message = refused(*_train_on(tiny_copy, tiny, run_folder), kind="DataError")
    assert "unknown class: JPEGImages/000001.png: category cat at" in message


@pytest.mark.slow
def test_images_that_are_trained_and_measured_on_are_told(
    done: Done, tiny_copy: Path, tiny: Any, run_folder: Path
) -> None:
    taken = json.loads((tiny_copy / "coco" / "train.json").read_text())["images"][:2]
    _spoil(tiny_copy, "test", lambda content: content["images"].extend(taken))
    assert "image repeated 2" in done("check_data", "--data", tiny_copy / "coco.yaml")
    told = done(*_train_on(tiny_copy, tiny, run_folder))
    assert "warning: 2 of the 7 images of coco-test are trained on as well, such as JPEGImages/000001.png" in told


def test_a_folder_of_coco_files_is_checked_as_what_it_is(done: Done, tiny_copy: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    folder.mkdir()
    shutil.copytree(tiny_copy / "JPEGImages", folder / "images")
    shutil.copytree(tiny_copy / "coco", folder / "annotations")
    told = done("check_data", "--data", folder)
    assert "train: coco-train, 7 images" in told
    assert "test: coco-test, 5 images" in told


def test_anchors_are_spoken_of_and_complained_of_where_it_hurts(done: Done, tiny_copy: Path) -> None:
    small = ("data.shortest_side=64", "data.longest_side=96", "model.layout=c4")
    for sizes, alarmed in (("[[16, 32]]", False), ("[[512]]", True)):
        told = done("check_data", "--data", tiny_copy / "coco.yaml", *small, f"model.anchors.sizes={sizes}")
        assert "best anchor of each box, in images with a shorter side of 64 (the longer up to 96): median IoU" in told
        assert ("anchors fit badly" in told) == alarmed
    assert "100.0% of the boxes look like background" in told
    assert "learned from the one anchor that overlaps it most (Ren et al. 2015)" in told


def test_without_a_config_boxes_are_held_against_the_recipe_that_would_be_fitted(done: Done, tiny_copy: Path) -> None:
    told = done("check_data", "--data", tiny_copy / "coco.yaml")
    assert "in images with a shorter side of 77 to 96 (the longer up to" in told
    assert "in images with a shorter side of 96 (the longer up to" in told, "tests take the last"


def test_what_stands_twice_and_what_is_spelled_twice_is_told(done: Done, tiny_copy: Path) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["annotations"].append({**content["annotations"][3], "id": 900})
        content["annotations"][0]["category_id"] = 9
        content["categories"].append({"id": 9, "name": "Square "})

    _spoil(tiny_copy, "train", spoil)
    told = done("check_data", "--data", tiny_copy / "coco.yaml")
    assert "box stands twice 1" in told
    assert "class names look alike" in told
    assert "classes are in 10 images or fewer" in told
    assert "no problems" not in told.partition("test: ")[0]


@pytest.mark.slow
def test_training_tells_what_stands_twice_in_what_it_learns_from(
    done: Done, tiny_copy: Path, tiny: Any, run_folder: Path
) -> None:
    def spoil(content: dict[str, Any]) -> None:
        content["annotations"].append({**content["annotations"][3], "id": 900})
        content["categories"].append({"id": 9, "name": content["categories"][0]["name"]})
        content["images"].append({**content["images"][-1], "id": content["images"][0]["id"]})

    _spoil(tiny_copy, "train", spoil)
    kinds = ("box stands twice", "category repeated", "image id twice")
    listed, told = done("check_data", "--data", tiny_copy / "coco.yaml"), done(*_train_on(tiny_copy, tiny, run_folder))
    for kind in kinds:
        assert kind in listed
        assert kind in told


@pytest.mark.parametrize("kind", ["voc", "folder"])
def test_names_that_are_no_utf_8_are_told(
    done: Done, refused: Done, tiny: Any, tiny_classes: Any, tmp_path: Path, kind: str
) -> None:
    root = Path(shutil.copytree((tiny if kind == "voc" else tiny_classes).root, tmp_path / "set"))
    folder = root / ("JPEGImages" if kind == "voc" else "train/red")
    name = os.fsdecode(b"caf\xe9.png")
    try:
        shutil.copy(next(folder.glob("*.png")), folder / name)
    except OSError:
        pytest.skip("the disk takes names in UTF-8 only")
    if kind == "voc":
        with (root / "ImageSets" / "Main" / "train.txt").open("a") as entries:
            entries.write("caf\ufffd\n")
        shutil.copy(next((root / "Annotations").glob("*.xml")), root / "Annotations" / os.fsdecode(b"caf\xe9.xml"))
    (root / "mine.yaml").write_text(f"format: {kind}\ntrain: train\n" + (f"root: {root}\n" if kind == "folder" else ""))
    command = ("check_data", "--data", root / "mine.yaml")
    assert "caf\ufffd" in done(*command) if kind == "voc" else "caf" in refused(*command, kind="DataError")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads a process's memory there")
def test_a_bomb_costs_the_commands_nothing_but_a_line(run_python: Callable, trained: Path, tiny_copy: Path) -> None:
    """32000 x 32000 pixels in a hundred bytes; decoded, they are three gigabytes."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 32000, 32000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tiny_copy / "JPEGImages" / "000010.png").write_bytes(bomb + struct.pack(">I", 0) + b"IDAT")
    checked = run_python("-c", _MEASURED, "check_data", "--data", tiny_copy / "voc.yaml")
    predicted = run_python(
        *("-c", _MEASURED, "predict", "--weights", trained, tiny_copy / "JPEGImages", "--out", tiny_copy / "out"),
        *("--device", "cpu"),
    )
    for ended in (checked, predicted):
        assert ended.returncode == 0, ended.stderr
        assert "32000x32000 pixels are more than are read from" in ended.stdout + ended.stderr
        assert int(ended.stdout.splitlines()[-1]) < 2500, "MiB, of which torch has more than a third"
    assert "11 pictures" in predicted.stdout
    assert "1 bad files" in predicted.stdout


# Of this process alone: getrusage counts what its parent held when it was forked.
_MEASURED = """
import pathlib, re, sys
from detres.commands.main import main
status = main(sys.argv[1:])
print(int(re.search(r"VmHWM:\\s*(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) >> 10)
sys.exit(status)
"""
