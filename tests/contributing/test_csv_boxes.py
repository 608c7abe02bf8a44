"""A data format is one file and one line: it is read, checked, trained on and evaluated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import detres
from detres.commands.main import main
from detres.config.detection_schema import DataConfig
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_listed
from detres.errors import ConfigError, DataError
from detres.tables import DETECTION_FORMATS


@pytest.fixture
def csv_set(contribute: Any, tiny: Any, tmp_path: Path) -> Path:
    """The tiny set's pictures, with train.csv and test.csv of what its VOC files say, and mine.yaml."""
    contribute("csv_boxes", "csv_boxes", DETECTION_FORMATS)
    root = tmp_path / "set"
    root.mkdir()
    (root / "JPEGImages").symlink_to(tiny.root / "JPEGImages")
    for split in ("train", "test"):
        (root / f"{split}.csv").write_text("".join(lines_of(load("voc", tiny.root, split))), encoding="utf-8")
    (root / "mine.yaml").write_text("format: csv_boxes\ntrain: train.csv\ntest: test.csv\n")
    return root


def load(kind: str, root: Path, *splits: str, **keys: Any) -> AnnotatedImages:
    return load_listed(DataConfig(format=kind, root=str(root), train=splits, **keys), splits)


def lines_of(images: AnnotatedImages) -> list[str]:
    lines = []
    for i in range(len(images)):
        target = images.target(i)
        boxes = [
            f"{','.join(f'{corner:g}' for corner in box)},{images.class_names[label]}"
            for box, label in zip(target.boxes.tolist(), target.labels.tolist(), strict=True)
        ]
        lines += [f"{images.file_name(i)},{box}\n" for box in boxes] or [f"{images.file_name(i)}\n"]
    return lines


def test_it_reads_what_voc_says(csv_set: Path, tiny: Any) -> None:
    ours, voc = load("csv_boxes", csv_set, "train.csv"), load("voc", tiny.root, "train")
    assert ours.name == "set-train"
    assert ours.class_names == voc.class_names == ("disc", "square")
    for name in ("sizes", "offsets", "boxes", "labels"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(voc, name))
    assert [ours.file_name(i) for i in range(len(ours))] == [voc.file_name(i) for i in range(len(voc))]
    assert np.diff(ours.offsets)[2] == 0, "the image of nothing is gone"
    assert not ours.problems


def test_what_is_wrong_is_told_with_its_line(csv_set: Path) -> None:
    bad = ["JPEGImages/000001.png,1,2,x,9,disc\n", "../secret.png,1,2,8,9,disc\n", "JPEGImages/000001.png,1,2,8,9\n"]
    (csv_set / "bad.csv").write_text(
        "".join([*bad, "JPEGImages/000001.png,1,2,400,9,disc\n", "none.png,1,2,8,9,disc\n"])
    )
    images = load("csv_boxes", csv_set, "bad.csv")
    assert images.problem_counts() == {
        "annotation malformed": 2,
        "name outside the set": 1,
        "image missing": 1,
        "box outside the image": 1,
    }
    assert "bad.csv: line 3: JPEGImages/000001.png,1,2,8,9; left out" in "\n".join(map(str, images.problems))
    with pytest.raises(DataError, match=r"5 problems, and data\.strict=true accepts none"):
        load("csv_boxes", csv_set, "bad.csv", strict=True)
    with pytest.raises(DataError, match=r"absent\.csv: cannot be read"):
        load("csv_boxes", csv_set, "absent.csv")


def test_a_key_it_does_not_heed_is_refused(csv_set: Path, tiny: Any) -> None:
    said = (
        "difficult changes nothing here: data.format is csv_boxes, .* another data.format than yolo or .*shapes or csv_"
    )
    with pytest.raises(ConfigError, match=said):
        detres.load_config(tiny.cfg, ["data.format=csv_boxes", "data.difficult=drop"])


@pytest.mark.slow
def test_check_data_tells_of_it(csv_set: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (csv_set / "train.csv").open("a") as file:
        file.write("JPEGImages/000001.png,5,5,5,9,disc\n")
    assert main(["check_data", "--data", str(csv_set / "mine.yaml")]) == 0
    told = capsys.readouterr().out
    assert "train: set-train, 7 images" in told
    assert "box without area" in told


@pytest.mark.slow
def test_a_detector_trains_on_it_and_is_evaluated_as_on_voc(
    csv_set: Path, tiny: Any, run_folder: Path, trained: Path, tmp_path: Path
) -> None:
    data = ["--data", str(csv_set / "mine.yaml")]
    step = ["training.steps=1", "--out", str(run_folder), "--device", "cpu"]
    assert main(["train_det", "--cfg", str(tiny.cfg), *data, *step]) == 0
    out = tmp_path / "eval"
    assert main(["eval_det", "--weights", str(trained), *data, "--out", str(out), "--device", "cpu"]) == 0
    measured = json.loads((out / "metrics.json").read_text())
    voc = detres.evaluate(trained, split="test", device="cpu", out=tmp_path / "voc")
    assert (out / "ground_truth.json").is_file()
    assert measured["images"] == voc["images"] == 5
    assert measured["mAP50"] > 0.2
