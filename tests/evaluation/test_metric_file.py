from __future__ import annotations

import json
from pathlib import Path

from detres.evaluation.metric_file import write_metrics


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
