"""eval_det --report, of a detector and of detections in a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Done = Callable[..., str]


@pytest.mark.slow
def test_a_report_is_made_of_a_detector_and_of_what_it_found(
    done: Done, trained: Path, tiny: Any, tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    told = done("eval_det", "--weights", trained, "--out", first, "--report", "--device", "cpu")
    assert told.splitlines()[-1] == f"report: {first / 'report.html'}"
    again = done("eval_det", "--detections", first, "--data", tiny.voc, "--out", second, "--report")
    assert again.splitlines()[-1] == f"report: {second / 'report.html'}"
    for folder in (first, second):
        assert "000009.png" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.slow
def test_none_is_made_where_none_is_asked_for(done: Done, trained: Path, tiny: Any, tmp_path: Path) -> None:
    (tmp_path / "detections.json").write_text("[]")
    done("eval_det", "--detections", tmp_path, "--data", tiny.voc, "--out", tmp_path / "out")
    assert not (tmp_path / "out" / "report.html").exists()
