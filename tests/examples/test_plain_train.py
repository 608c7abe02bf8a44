"""The plain loop learns, and what it writes is a detector like any other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import detres


@pytest.mark.slow
def test_a_plain_loop_trains_measures_and_writes_a_detector(
    example: Callable[[str], ModuleType],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain_train = example("plain_train")
    load = plain_train.load_dataset

    def eight_of_val(data: object, split: str) -> object:
        images = load(data, split)
        return images.subset(range(8)) if split == "val" else images

    monkeypatch.setattr(plain_train, "load_dataset", eight_of_val)
    metrics = plain_train.main(["--steps", "6", "--out", str(tmp_path)])
    told = capsys.readouterr().out.splitlines()
    losses = [float(line.split()[3]) for line in told if line.startswith("step")]
    assert losses[-1] < losses[0]
    assert metrics["images"] == 8
    assert 0 <= metrics["mAP50"] <= 1
    detector = detres.Detector.from_checkpoint(tmp_path / "model.safetensors", device="cpu", score=0.0)
    assert detector.model.class_names == ("circle", "cross", "ring", "square", "star", "triangle")
    assert detector.predict(np.zeros((48, 64, 3), np.uint8)).image_size == (48, 64)
