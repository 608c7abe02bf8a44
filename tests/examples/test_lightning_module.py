"""Lightning trains and measures a detector; skipped where it is not installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("lightning")


@pytest.mark.slow
def test_lightning_trains_a_detector_and_logs_its_metrics(
    example: Callable[[str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example("lightning_module")
    load = module.load_dataset
    monkeypatch.setattr(module, "load_dataset", lambda data, split: load(data, split).subset(range(8)))
    logged = module.main(["--steps", "3", "--out", str(tmp_path)])
    assert logged["loss_roi_class"] > 0
    assert 0 <= logged["mAP50"] <= 1
