"""eval_det --detections, as a user meets it: files of detections instead of weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.commands.main import main


@pytest.fixture(scope="module")
def found(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the trained detector found on the test images; never written to."""
    folder = tmp_path_factory.mktemp("found")
    assert main(["eval_det", "--weights", str(trained), "--out", str(folder), "--device", "cpu"]) == 0
    return folder


@pytest.mark.slow
def test_a_file_of_detections_is_measured_as_its_detector_was(
    done: Callable[..., str], found: Path, tiny: Any, tmp_path: Path
) -> None:
    told = done("eval_det", "--detections", found / "detections.json", "--cfg", tiny.cfg, "--out", tmp_path / "again")
    assert "mAP@0.5" in told
    before, after = (json.loads((folder / "metrics.json").read_text()) for folder in (found, tmp_path / "again"))
    same = {"AP", "AP75", "AR100", "mAP50", "mAP50_07", "per_class", "set", "split", "annotations", "images"}
    assert {key: after[key] for key in same} == {key: before[key] for key in same}
    for name in ("detections.json", "ground_truth.json", "comp4_det_test_disc.txt"):
        assert (tmp_path / "again" / name).read_text() == (found / name).read_text()


@pytest.mark.slow
def test_files_are_merged(done: Callable[..., str], found: Path, tiny: Any, tmp_path: Path) -> None:
    given = ("--detections", found, "--detections", found, "--cfg", tiny.cfg, "--out", tmp_path / "both")
    told = done("eval_det", *given, "test.fusion=wbf")
    assert "2 files are merged by wbf" in told
    assert json.loads((tmp_path / "both" / "metrics.json").read_text())["fusion"] == "wbf"


@pytest.mark.slow
def test_mistakes_get_one_message(refused: Callable[..., str], found: Path, tiny: Any, tmp_path: Path) -> None:
    given = ("eval_det", "--detections", found, "--cfg", tiny.cfg)
    assert "name them with --cfg or --data" in refused("eval_det", "--detections", found)
    assert "another set" in refused(*given, "--split", "train", kind="DataError")
    assert "there is no such file" in refused(*given, "--detections", tmp_path / "no.json", kind="DataError")
    assert "written over" in refused(*given, "--out", found)
    assert "test.refine: detections from files are not made anew" in refused(*given, "test.refine=1")


def test_weights_and_detections_exclude_each_other(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for argv, expected in (
        (["--weights", "w", "--detections", "d"], "--detections: not allowed with argument --weights"),
        (["--split", "test"], "one of the arguments --weights --detections is required"),
    ):
        with pytest.raises(SystemExit) as left:
            main(["eval_det", *argv])
        assert left.value.code == 2
        assert expected in capsys.readouterr().err
