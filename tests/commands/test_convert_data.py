from __future__ import annotations

from pathlib import Path

import pytest

from detres.commands.main import main
from detres.data.data_file import load_data_file
from detres.data.detection.datasets import load_split


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shapes.yaml").write_text("format: shapes\ntrain: [val]\ntest: [test]\n", encoding="utf-8")
    return tmp_path


def test_a_set_is_written_with_its_splits_and_used(photos, capsys):
    assert main(["convert_data", "shapes.yaml", "out", "--to", "voc", "--link"]) == 0
    said = capsys.readouterr().out
    assert "train: 64 images" in said
    assert said.rstrip().endswith("written as voc to out; use it with --data out")
    assert main(["convert_data", "out", "again", "--to", "coco", "data.classes=[ring]"]) == 0
    data = load_data_file("again")
    assert load_split(data, "train").class_names == ("ring",)
    assert len(load_split(data, "test")) > 0
    assert not data.val


def test_a_set_without_splits_is_not_split(photos, capsys):
    assert main(["convert_data", "shapes.yaml", "all", "--to", "yolo", "data.test=[]"]) == 0
    for name in ("data.yaml",):
        (photos / "all" / name).unlink()
    (photos / "all" / "classes.txt").write_text("circle\ncross\nring\nsquare\nstar\ntriangle\n")
    assert main(["convert_data", "all", "out", "--to", "coco"]) == 0
    assert "val:" not in capsys.readouterr().out.rpartition("train: 64")[2]
    assert not (photos / "out" / "val").exists()


def test_mistakes_are_one_message(photos, capsys):
    assert main(["convert_data", "shapes.yaml", "out", "--to", "csv"]) == 2
    assert "--to csv: expected one of coco, voc, yolo" in capsys.readouterr().err
    assert main(["convert_data", "nowhere", "out", "--to", "coco"]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err
    (photos / "out").mkdir()
    (photos / "out" / "mine").write_text("")
    assert main(["convert_data", "shapes.yaml", "out", "--to", "coco"]) == 2
    assert "it is there already" in capsys.readouterr().err
