"""Predicting, drawing and checking as commands, and what the commands say of themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from detres.commands.main import COMMANDS, main

Done = Callable[..., str]


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


# Prediction.


@pytest.mark.slow
def test_predict_writes_a_line_and_a_picture_for_each_file(
    done: Done, trained: Path, tiny: Any, tmp_path: Path
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    (folder / "below").mkdir(parents=True)
    one, two, three = tiny.pictures()[:3]
    shutil.copy(one, folder / "one.png")
    shutil.copy(two, folder / "below" / "two.png")
    (folder / "bad.jpg").write_bytes(b"no image")
    write_video(tmp_path / "clip.avi", one)
    told = done(
        *("predict", "--weights", trained, folder, tiny.root / "JPEGImages" / "00001[02].png", tmp_path / "clip.avi"),
        *("--out", out, "--score", "0.2", "--batch", "2", "--device", "cpu"),
    )
    assert "bad.jpg: this is no image that can be decoded" in told
    assert "7 pictures" in told
    assert "1 bad files" in told
    lines = read_lines(out / "predictions.jsonl")
    names = [Path(line["file"]).name for line in lines]
    assert names == ["two.png", "one.png", three.name, "000012.png", "clip.avi", "clip.avi", "clip.avi"]
    assert [line.get("frame") for line in lines] == [None] * 4 + [0, 1, 2]
    for line in lines:
        height, width = cv2.imread(line["file"]).shape[:2] if line["file"].endswith("png") else (80, 80)
        assert line["size"] == [width, height]
        assert len(line["boxes"]) == len(line["labels"]) == len(line["names"]) == len(line["scores"])
        assert all(score >= 0.2 for score in line["scores"])
        assert line["names"] == [["disc", "square"][label] for label in line["labels"]]
        assert all(0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height for x1, y1, x2, y2 in line["boxes"])
    assert sum(len(line["boxes"]) for line in lines) > 0
    assert {path.name for path in out.iterdir()} >= {"one.jpg", "two.jpg", "000012.jpg", "clip.mp4"}
    assert cv2.imread(str(out / "one.jpg")) is not None


def write_video(path: Path, picture: Path) -> None:
    image = cv2.imread(str(picture))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, image.shape[1::-1])
    assert writer.isOpened(), "this OpenCV writes no MJPG"
    for _ in range(3):
        writer.write(image)
    writer.release()


@pytest.mark.slow
def test_an_input_that_is_absent_is_counted_and_the_others_are_done(
    done: Done, trained: Path, tiny: Any, tmp_path: Path
) -> None:
    told = done(
        *("predict", "--weights", trained, tmp_path / "absent.png", tiny.pictures()[0], "--out", tmp_path / "out"),
        *("--device", "cpu"),
    )
    assert f"left out: {tmp_path / 'absent.png'}: no such file" in told
    assert "1 pictures" in told
    assert "1 bad files" in told


@pytest.mark.slow
def test_predict_without_images_writes_lines_alone(done: Done, trained: Path, tiny: Any, tmp_path: Path) -> None:
    done("predict", "--weights", trained, *tiny.pictures(), "--out", tmp_path, "--no-images", "--device", "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.jsonl"]
    assert len(read_lines(tmp_path / "predictions.jsonl")) == 5


@pytest.mark.slow
def test_a_picture_that_is_too_long_for_a_jpeg_is_written_smaller_and_ends_nothing(
    done: Done, trained: Path, tiny: Any, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "strip.png"), np.full((2, 70_000, 3), 90, np.uint8))
    done("predict", "--weights", str(trained), str(tmp_path / "strip.png"), str(tiny.pictures()[0]), "--out", tmp_path)
    assert cv2.imread(str(tmp_path / "strip.jpg")).shape == (1, 65_500, 3)
    assert len((tmp_path / "predictions.jsonl").read_text().splitlines()) == 2


@pytest.mark.slow
def test_files_of_one_name_get_pictures_of_their_own(done: Done, trained: Path, tiny: Any, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(tiny.pictures()[0], tmp_path / folder / "same.png")
    done("predict", "--weights", trained, tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out", "--device", "cpu")
    assert len(list((tmp_path / "out").glob("*same.jpg"))) == 2


# Pictures and data.


@pytest.mark.slow
def test_visualize_draws_ground_truth_beside_predictions(done: Done, trained: Path) -> None:
    told = done("visualize", "--weights", trained, "--limit", "3", "--device", "cpu")
    assert told.startswith("3 pictures")
    pictures = trained / "pictures"
    assert {path.name for path in pictures.iterdir()} == {"000008.jpg", "000010.jpg", "000012.jpg", "sheet.png"}
    width = cv2.imread(str(pictures / "000008.jpg")).shape[1]
    assert width > 2 * 64, "two pictures side by side"
    assert cv2.imread(str(pictures / "sheet.png")).shape[1] > width


@pytest.mark.slow
def test_visualize_draws_what_is_found_by_the_test_that_is_asked_for(
    done: Done, refused: Done, trained: Path, tmp_path: Path
) -> None:
    def drawn(*overrides: str) -> bytes:
        done("visualize", "--weights", trained, "--limit", "1", "--out", tmp_path, "--score", "0.2", *overrides)
        return (tmp_path / "000008.jpg").read_bytes()

    assert drawn("test.score=1") != drawn() == drawn("test.nms=0.5")
    told = refused("visualize", "--weights", trained, "model.global_context=true", kind="WeightsError")
    assert "global_context is False, and True is asked for" in told


def test_visualize_draws_a_set_alone(done: Done, tiny: Any, tmp_path: Path) -> None:
    told = done("visualize", "--data", tiny.coco, "--split", "train", "--out", tmp_path, "--limit", "100")
    assert told.startswith("7 pictures")
    assert len(list(tmp_path.glob("*.jpg"))) == 7


def test_visualize_leaves_out_what_cannot_be_decoded(done: Done, refused: Done, tiny: Any, tmp_path: Path) -> None:
    root = tmp_path / "torn"
    shutil.copytree(tiny.root, root)
    start = ("visualize", "--data", root / "voc.yaml", "--split", "test", "--out", tmp_path / "out")
    for number in range(8, 13):
        _tear(root / "JPEGImages" / f"{number:06d}.png")
        if number == 8:
            told = done(*start)
            assert "left out:" in told
            assert "000008.png: this image breaks off before its first pixels" in told
            assert "4 pictures" in told
            assert {path.name for path in (tmp_path / "out").iterdir()} >= {"sheet.png", "000009.jpg"}
            assert not (tmp_path / "out" / "000008.jpg").exists()
    assert "none of 5 images can be decoded" in refused(*start, kind="DataError")


def _tear(file: Path) -> None:
    """Leave a PNG its header, which is enough for the data's index, and nothing to decode."""
    content = file.read_bytes()
    file.write_bytes(content[:50])


def test_check_data_tells_what_is_there_and_what_is_wrong_and_mends_it(done: Done, tiny: Any, tmp_path: Path) -> None:
    clean = done("check_data", "--cfg", tiny.cfg)
    assert "7 images" in clean
    assert "square" in clean
    root, fixed = tmp_path / "broken", tmp_path / "fixed"
    shutil.copytree(tiny.root, root)
    (root / "JPEGImages" / "000002.png").write_bytes(b"no image")
    told = done("check_data", "--data", root / "voc.yaml", "--fix", fixed)
    assert "000002.png" in told
    assert f"use them with --data {fixed / 'data.yaml'}" in told
    again = done("check_data", "--data", fixed / "data.yaml")
    assert "6 images" in again
    assert "000002.png" not in again


# The commands themselves.


def test_configs_and_help_are_printed(done: Done, capsys: pytest.CaptureFixture[str]) -> None:
    assert "coco_r101 " in done("configs")
    assert json.loads(done("configs", "--schema"))["title"] == "A detection config of detres"
    overview = done("--help")
    assert all(name in overview for name in COMMANDS)
    assert done("--version").strip().count(".") == 2
    assert main([]) == 2
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stopped:
            main([name, "--help"])
        assert stopped.value.code == 0
    assert "usage: detres train_det" in capsys.readouterr().out


def test_doctor_tells_versions_and_finds_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["doctor"])
    told = capsys.readouterr().out
    assert "torch " in told
    assert ("no problems found" in told) == (status == 0)


@pytest.mark.slow
def test_what_a_name_or_a_letter_becomes_in_pictures_is_told(
    done: Done, trained: Path, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a:b*.png"
    try:
        shutil.copy(tiny.pictures()[0], file)
    except OSError:
        pytest.skip("this disk has no such names")
    told = done("predict", "--weights", trained, file, "--out", tmp_path / "out", "--device", "cpu")
    assert "1 names are no names of files on every system: 'a:b*' is written as a_b_" in told
    assert (tmp_path / "out" / "a_b_.jpg").is_file()
    assert "no font of this machine" not in told

    monkeypatch.setattr("detres.report.fonts._system_fonts", tuple)
    monkeypatch.setattr("detres.prediction.detector.Detector.class_names", ("犬", "disc"))
    told = done("predict", "--weights", trained, file, "--out", tmp_path / "again", "--device", "cpu")
    assert "pictures: no font of this machine has all letters of 1 names; '\\u72ac' is drawn as" in told


def test_classes_that_are_no_names_of_files_are_told_before_anything_is_measured(
    done: Done, tiny: Any, tmp_path: Path
) -> None:
    root, out = Path(shutil.copytree(tiny.root, tmp_path / "set")), tmp_path / "out"
    for file in (root / "Annotations").iterdir():
        file.write_text(file.read_text().replace(">square<", ">a/b<").replace(">disc<", ">a:b<"))
    (tmp_path / "detections.json").write_text("[]")
    told = done("eval_det", "--detections", tmp_path / "detections.json", "--data", root / "voc.yaml", "--out", out)
    line = "2 classes get files of other names: 'a/b' in comp4_det_test_a_b.txt, 'a:b' in comp4_det_test_a_b-2.txt"
    assert line in told, told
    assert told.index(line) < told.index("mAP")
    assert len(list(out.rglob("comp4_det_*"))) == 2


def test_a_number_out_of_its_range_is_named_alone(refused: Callable[..., str]) -> None:
    for given, said in (
        (("visualize", "--cfg", "shapes_r18", "--limit", "0"), "--limit is 0, expected 1 or more"),
        (("visualize", "--cfg", "shapes_r18", "--score", "2"), "--score is 2.0, expected 0 to 1"),
        (("predict", "--weights", "x", "a.jpg", "--score", "-1"), "--score is -1.0, expected 0 to 1"),
        (("predict", "--weights", "x", "a.jpg", "--batch", "0"), "--batch is 0, expected 1 or more"),
    ):
        assert refused(*given) == f"ConfigError: {said}\n"
