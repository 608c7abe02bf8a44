"""Evaluations of sets that are not whole, and on disks that are full."""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.commands.main import main

Done = Callable[..., str]
CPU = ("--device", "cpu")


@pytest.fixture
def copied(tiny: Any, tmp_path: Path) -> Path:
    """A copy of the tiny set, to be damaged."""
    shutil.copytree(tiny.root, tmp_path / "set")
    return tmp_path / "set"


def picture(root: Path, number: int) -> Path:
    return root / "JPEGImages" / f"{number:06d}.png"


def tear(file: Path) -> None:
    """Leave a PNG its header, which is enough for the data's index, and nothing to decode."""
    content = file.read_bytes()
    file.write_bytes(content[:50])


def metrics_in(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("data", ["voc.yaml", "coco.yaml"])
def test_a_missing_image_is_refused_before_anything_is_detected(
    done: Done, refused: Done, trained: Path, copied: Path, tmp_path: Path, data: str
) -> None:
    picture(copied, 10).unlink()
    out = tmp_path / "out"
    start = ("eval_det", "--weights", trained, "--data", copied / data, "--out", out, *CPU)
    for command in (start, (*start, "--weights", trained), (*start, "test.flip=true")):
        message = refused(*command, kind="DataError")
        assert "1 of its images are missing or cannot be read" in message
        assert "image missing: JPEGImages/000010." in message
        assert "data.strict=false" in message
    assert "JPEGImages/000010." in refused(*start, "data.strict=true", kind="DataError")
    assert "JPEGImages/000010." in refused("visualize", "--data", copied / data, "--split", "test", kind="DataError")
    assert not out.exists()
    told = done(*start, "data.strict=false", "--report")
    assert "warning: 1 × image missing, such as JPEGImages/000010." in told
    metrics = metrics_in(out)
    assert (metrics["images"], metrics["images_left_out"], metrics["problems"]) == (4, 1, {"image missing": 1})
    assert (
        "1 image of the set left out; problems of the set: 1 \\u00d7 image missing" in (out / "report.html").read_text()
    )


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_turns_out_undecodable_is_refused_or_left_out_with_its_objects(
    done: Done, refused: Done, trained: Path, copied: Path, tmp_path: Path, workers: int
) -> None:
    tear(picture(copied, 10))
    out = tmp_path / "out"
    start = ("eval_det", "--weights", trained, "--data", copied / "voc.yaml", *CPU, f"data.workers={workers}")
    message = refused(*start, "--out", out, kind="DataError")
    assert "000010.png: this image breaks off before its first pixels" in message
    assert "or leave such images out with data.strict=false" in message
    told = done(*start, "--out", out, "data.strict=false", "--report")
    assert "warning: 1 images could not be decoded and are left out: JPEGImages/000010.png" in told
    torn, truth = metrics_in(out), json.loads((out / "ground_truth.json").read_text())
    assert torn["unreadable_images"] == ["JPEGImages/000010.png"]
    assert (torn["images"], torn["images_left_out"], torn["problems"]) == (4, 1, {"image unreadable": 1})
    assert "JPEGImages/000010.png" not in [image["file_name"] for image in truth["images"]]
    picture(copied, 10).unlink()
    done(*start, "--out", tmp_path / "without", "data.strict=false")
    without = metrics_in(tmp_path / "without")
    for key in ("AP", "AP50", "mAP50", "mAP50_07", "AR100", "per_class"):
        assert torn[key] == without[key], "as if it were not there"


@pytest.mark.slow
def test_training_refuses_a_missing_image_of_val_and_goes_on_where_one_cannot_be_decoded(
    done: Done, refused: Done, tiny: Any, copied: Path, run_folder: Path
) -> None:
    start = ("train_det", "--cfg", copied / "tiny.yaml", f"data.root={copied}", "data.val=[test]", "data.test=[]")
    start += ("--out", run_folder, *CPU, "training.steps=2", "training.eval_every=1")
    tear(picture(copied, 9))
    whole = picture(copied, 10).read_bytes()
    picture(copied, 10).unlink()
    assert "image missing: JPEGImages/000010.png" in refused(*start, kind="DataError")
    assert not (run_folder / "checkpoints").exists()
    picture(copied, 10).write_bytes(whole)
    told = done(*start)
    assert told.count("warning: image unreadable: JPEGImages/000009.png: cannot be decoded; it counts in no") == 1
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    evaluations = [line for line in lines if line["kind"] == "eval"]
    assert len(evaluations) == 2
    for line in evaluations:
        assert (line["problems"], line["images_left_out"]) == ({"image unreadable": 1}, 1)
        assert line["images"] == 4


@pytest.mark.slow
def test_boxes_of_val_that_are_left_out_are_told_in_training(done: Done, copied: Path, run_folder: Path) -> None:
    content = json.loads((copied / "coco" / "test.json").read_text())
    content["annotations"][0]["bbox"] = [5, 5, 0, 9]
    (copied / "coco" / "val.json").write_text(json.dumps(content))
    (copied / "mine.yaml").write_text(
        "format: coco\ntrain: coco/train.json:JPEGImages\nval: coco/val.json:JPEGImages\n"
    )
    start = ("train_det", "--cfg", copied / "tiny.yaml", "--data", copied / "mine.yaml", "--out", run_folder, *CPU)
    told = done(*start, "training.steps=1")
    assert "warning: 1 × box without area, such as JPEGImages/" in told
    assert '"problems": {"box without area": 1}' in (run_folder / "metrics.jsonl").read_text()


@pytest.mark.slow
def test_a_run_writes_what_was_stated_and_another_set_needs_its_own_word(
    done: Done, refused: Done, copied: Path, run_folder: Path
) -> None:
    picture(copied, 10).unlink()
    start = ("train_det", "--cfg", copied / "tiny.yaml", f"data.root={copied}", "--out", run_folder, *CPU)
    done(*start, "training.steps=1", "data.strict=false")
    assert "  strict: false\n" in (run_folder / "config.yaml").read_text()
    evaluate = ("eval_det", "--weights", run_folder, *CPU)
    assert "warning: 1 × image missing" in done(*evaluate)
    assert "image missing" in refused(*evaluate, "--data", copied / "voc.yaml", kind="DataError")


@pytest.mark.slow
def test_val_is_taken_where_test_is_named_and_not_there(done: Done, trained: Path, copied: Path) -> None:
    (copied / "mine.yaml").write_text("format: voc\ntrain: train\nval: test\ntest: absent\n")
    told = done("eval_det", "--weights", trained, "--data", copied / "mine.yaml", "--out", copied / "out", *CPU)
    assert told.startswith("warning: data.test names absent, which is not there; val is taken instead\n")
    assert metrics_in(copied / "out")["split"] == "val"
    command = ["eval_det", "--weights", trained, "--data", copied / "mine.yaml", "--split", "test", *CPU]
    assert main([*map(str, command)]) == 2, "asked for by its name, it is not replaced"


@pytest.mark.slow
@pytest.mark.parametrize("fails_at", [1, 2, 3])
def test_a_full_disk_takes_no_figure_and_leaves_nothing_half_written(
    trained: Path,
    tiny: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fails_at: int,
) -> None:
    """The disk fills up with the first file, the second, the third."""
    written = []

    def full_disk(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            return
        written.append(handle)
        if len(written) >= fails_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full_disk)
    command = ["eval_det", "--weights", trained, "--data", tiny.voc, "--out", tmp_path / "out", *CPU]
    assert main([*map(str, command)]) == 2
    told = capsys.readouterr()
    assert "mAP@0.5" in told.out
    assert "square" in told.out
    assert "No space left on device" in told.err
    assert "Traceback" not in told.err
    assert len(told.err.splitlines()) == 1
    left = list((tmp_path / "out").iterdir())
    assert {path.name for path in left} == set(["metrics.json", "detections.json"][: fails_at - 1])
    for path in left:
        json.loads(path.read_text())


def test_a_full_disk_takes_no_figure_of_a_classifier(
    trained_classifier: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full_disk(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full_disk)
    command = ["eval_cls", "--weights", trained_classifier, "--out", tmp_path / "out", *CPU]
    assert main([*map(str, command)]) == 2
    told = capsys.readouterr()
    assert "top-1 error" in told.out
    assert "No space left on device" in told.err
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_a_file_of_corners_is_told(done: Done, trained: Path, tiny: Any, tmp_path: Path) -> None:
    found, corners = tmp_path / "found", tmp_path / "corners"
    done("eval_det", "--weights", trained, "--data", tiny.coco, "--out", found, *CPU)
    rows = json.loads((found / "detections.json").read_text())
    for row in rows:
        x, y, width, height = row["bbox"]
        row["bbox"] = [x, y, x + width, y + height]
    corners.mkdir()
    (corners / "detections.json").write_text(json.dumps(rows))
    told = done("eval_det", "--detections", corners, "--data", tiny.coco, "--out", tmp_path / "out")
    assert "its boxes look like x1, y1, x2, y2, and are read as x, y, width, height" in told
    assert "look like" not in done("eval_det", "--detections", found, "--data", tiny.coco, "--out", tmp_path / "out")


@pytest.mark.slow
def test_images_that_break_off_are_filled_up_told_and_counted(
    done: Done, trained: Path, copied: Path, run_folder: Path, tmp_path: Path
) -> None:
    file = picture(copied, 10)
    file.write_bytes(file.read_bytes()[:-100])
    start = ("eval_det", "--weights", trained, "--data", copied / "voc.yaml", *CPU)
    told = done(*start, "--out", tmp_path / "out")
    assert "warning: 1 images break off and are filled up; check_data lists them" in told
    metrics, truth = metrics_in(tmp_path / "out"), json.loads((tmp_path / "out" / "ground_truth.json").read_text())
    assert (metrics["problems"], metrics["images_left_out"]) == ({"image breaks off": 1}, 0)
    assert metrics["images"] == len(truth["images"]) == 5
    listed = done("check_data", "--data", copied / "voc.yaml")
    assert "image breaks off: JPEGImages/000010.png" in listed

    start = ("train_det", "--cfg", copied / "tiny.yaml", f"data.root={copied}", "data.val=[test]", "data.test=[]")
    told = done(*start, "--out", run_folder, *CPU, "training.steps=1")
    assert told.count("warning: image breaks off: JPEGImages/000010.png") == 1
    (line,) = (each for each in (run_folder / "metrics.jsonl").read_text().splitlines() if '"eval"' in each)
    assert json.loads(line)["problems"] == {"image breaks off": 1}
