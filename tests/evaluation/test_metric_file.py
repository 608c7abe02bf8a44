from __future__ import annotations

import json
from pathlib import Path

import pytest

from detres.evaluation.metric_file import write_metrics, write_whole


def test_undefined_metrics_are_null(tmp_path: Path) -> None:
    metrics = {"AP50": 1.0, "loss": float("nan"), "set": "plants/test", "per_class": {"a": {"AP": float("inf")}}}
    written = json.loads(write_metrics(tmp_path, metrics | {"empty": None}).read_text())
    assert written == {
        "schema_version": 1,
        "AP50": 1.0,
        "loss": None,
        "set": "plants/test",
        "per_class": {"a": {"AP": None}},
        "empty": None,
    }


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "folder" / "some.txt"
    write_whole(file, "first")

    def full_disk(_: int) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_whole(file, "second")
    assert file.read_text() == "first"
    assert list(file.parent.iterdir()) == [file]
