"""ImageNet DET as a user meets it, on four images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.data.formats.imagenet_det import det_classes

OBJECT = "<object><name>{}</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>30</xmax><ymax>30</ymax></bndbox></object>"


@pytest.fixture
def det(tiny: Any, tmp_path: Path) -> Path:
    """--data of two images to train on and one in val1 and val2 each, pictures of the tiny set under DET's names."""
    below = tmp_path / "det" / "ILSVRC"
    lists = below / "ImageSets" / "DET"
    lists.mkdir(parents=True)
    dog = list(det_classes()).index("n02084071") + 1
    names = ["train/ILSVRC2014_train_0000/ILSVRC2014_train_00000001", "train/ILSVRC2013_train/n02084071/n02084071_2"]
    names += ["val/ILSVRC2012_val_00000001", "val/ILSVRC2012_val_00000002"]
    for name, picture in zip(names, tiny.pictures("train"), strict=False):
        for kind, ending in (("Data", "JPEG"), ("Annotations", "xml")):
            (below / kind / "DET" / f"{name}.{ending}").parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, below / "Data" / "DET" / f"{name}.JPEG")
        (below / "Annotations" / "DET" / f"{name}.xml").write_text(
            f"<annotation>{OBJECT.format('n02084071')}</annotation>"
        )
    for number in range(1, 201):
        positives = [f"{name.removeprefix('train/')} 1\n" for name in names[:2]] if number == dog else []
        (lists / f"train_{number}.txt").write_text("".join(positives))
    for number in (1, 2):
        (tmp_path / "det" / f"val{number}.txt").write_text(f"ILSVRC2012_val_0000000{number} {number}\n")
    data = tmp_path / "det.yaml"
    data.write_text("format: imagenet_det\nroot: det\ntrain: [train:1000, val1]\nval: val2\n")
    return data


@pytest.mark.slow
def test_it_is_checked_trained_on_and_measured_on_val2(
    done: Callable[..., str], det: Path, tiny: Any, run_folder: Path
) -> None:
    assert "imagenet-det-val2" in done("check_data", "--data", det)
    short = ("training.steps=1", "training.batch=1", "data.test=[]", "--device", "cpu")
    told = done("train_det", "--cfg", tiny.cfg, "--data", det, "--out", run_folder, *short)
    assert "imagenet-det-train-1000+imagenet-det-val1: 3 images, 3 boxes of 200 classes" in told
    lines = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    (measured,) = [line for line in lines if line["kind"] == "eval"]
    assert 0.0 <= measured["mAP50"] <= 1.0


@pytest.mark.slow
def test_a_val1_that_names_absent_images_is_one_message_until_they_may_be_left_out(
    done: Callable[..., str], refused: Callable[..., str], det: Path, tiny: Any, run_folder: Path
) -> None:
    (det.parent / "det" / "val1.txt").write_text("ILSVRC2012_val_00000001\nILSVRC2012_val_00000007\n")
    start = ("train_det", "--data", det, "--cfg", tiny.cfg, "--out", run_folder, "--dry-run")
    message = refused(*start, kind="DataError")
    assert "split val1: 1 of its 2 images are not in" in message
    assert "val/ILSVRC2012_val_00000007.JPEG" in message
    assert "data.strict=false" in message
    assert "dry run done" in done(*start, "data.strict=false")
    assert "ILSVRC2012_val_00000007" in done("check_data", "--data", det)
