"""Weights whose header is sound and of whose numbers a part is lost are refused by whoever reads them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detres.backbones import build_backbone
from detres.errors import WeightsError
from detres.prediction.classifier import Classifier
from detres.prediction.detector import Detector


def zero_the_middle(file: Path) -> None:
    data = file.read_bytes()
    middle = len(data) // 2
    file.write_bytes(data[:middle] + bytes(5000) + data[middle + 5000 :])


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("checkpoints/best", Classifier.from_checkpoint),
        ("backbone.safetensors", Classifier.from_checkpoint),
        ("backbone.safetensors", lambda file: build_backbone("cifar10_resnet20", weights=str(file), outputs=("c2",))),
    ],
)
def test_a_zeroed_part_is_told(
    trained_classifier: Path, tmp_path: Path, name: str, read: Callable[[Path], Any]
) -> None:
    source, copy = trained_classifier / name, tmp_path / Path(name).name
    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, copy)
    read(copy)
    zero_the_middle(copy / "model.safetensors" if copy.is_dir() else copy)
    with pytest.raises(WeightsError, match="its bytes are not those that were written"):
        read(copy)


@pytest.mark.slow
def test_a_zeroed_part_of_a_detector_is_told(trained: Path, tmp_path: Path) -> None:
    copy = tmp_path / "checkpoint"
    shutil.copytree(trained / "checkpoints" / "best", copy)
    try:
        zero_the_middle(copy / "model.safetensors")
        for weights in (copy, copy / "model.safetensors"):
            with pytest.raises(WeightsError, match=r"model\.safetensors: .*its bytes are not those that were written"):
                Detector.from_checkpoint(weights, device="cpu")
    finally:
        shutil.rmtree(copy)
