"""`benchmark gpu` is a run of its own: what is wrongly asked of it is one message, its status tells of all rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from detres.benchmarks.gpu import plan
from detres.benchmarks.gpu.entries import Entry
from detres.commands.main import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gpu", "detector"], "gpu is a run of its own; name it alone"),
        (["gpu", "--quick"], "`benchmark gpu` takes --tiny"),
        (["detector", "--tiny"], "--tiny is an option of `benchmark gpu`"),
        (["--only", "train"], "--only is an option of `benchmark gpu`"),
        (["gpu", "--seconds", "0"], "--seconds is 0, expected more than 0"),
        (["gpu", "--seconds", "nan"], "--seconds is nan, expected more than 0"),
        (["gpu", "--device", "cpu"], "--tiny runs all of it at toy sizes on the CPU"),
        (["gpu", "--tiny", "--only", "trian"], "--only trian: no row has this name; did you mean train?"),
    ],
)
def test_what_cannot_be_is_refused_in_a_message(
    arguments: list[str],
    told: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", *arguments]) == 2
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_full_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "gpu"]) == 2
    assert "benchmark gpu on cpu: it is for a GPU" in capsys.readouterr().err


def run(monkeypatch: pytest.MonkeyPatch, file: Path, entries: list[Entry], *arguments: str) -> tuple[int, dict]:
    monkeypatch.setattr(plan, "planned", lambda bench, sizes: entries)
    status = main(["benchmark", "gpu", "--tiny", "--json", str(file), *arguments])
    return status, json.loads(file.read_text(encoding="utf-8"))


def fail(_: int) -> dict:
    raise ValueError("no kernel")


def test_rows_are_told_and_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [Entry("a/ours", lambda batch: {"images_per_s": 2.0}), Entry("b/ours", lambda batch: {"ms": 3.0})]
    status, found = run(monkeypatch, tmp_path / "new" / "rows.json", rows, "--only", "a")
    assert status == 0
    assert (found["complete"], [row["name"] for row in found["rows"]]) == (True, ["a/ours"])
    assert found["command"] == "detres benchmark gpu --tiny --only a"
    assert "a/ours: 2 images/s" in capsys.readouterr().out
    assert "| a/ours |" in (tmp_path / "new" / "rows.md").read_text(encoding="utf-8")


def test_a_row_that_fails_is_status_1_and_not_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = [Entry("a/ours", fail), Entry("b/ours", lambda batch: {"ms": 3.0})]
    status, found = run(monkeypatch, tmp_path / "rows.json", rows)
    assert status == 1
    assert [row["state"] for row in found["rows"]] == ["failed", "measured"]


def test_the_time_is_up_before_the_second_row(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rows = [Entry("a/ours", lambda batch: {"ms": 3.0})]
    status, found = run(monkeypatch, tmp_path / "rows.json", rows, "--seconds", "1e-9")
    assert (status, found["rows"][0]["state"]) == (0, "left out")
