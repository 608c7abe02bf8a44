"""What makes a Detector fast does not change what it finds."""

from __future__ import annotations

import pytest
import torch

from detres.benchmarks.scenes import Scene, detres_detector, torchvision_detector
from detres.commands.doctor import compiler_problems
from detres.data.detection.loaders import DetectionSample, collate
from detres.prediction import Detector, NamedDetections
from detres.structures import Detections, DetectionTarget

SCENE = Scene("resnet18", 96, 128, classes=7)


def detector(precision: str = "float32", *, compile: bool = False) -> Detector:
    model, settings = detres_detector(torchvision_detector(SCENE), SCENE)
    return Detector(model, settings, device="cpu", precision=precision, compile=compile)


def found_by(detector: Detector) -> NamedDetections:
    return detector(SCENE.pictures()[0])


@pytest.mark.slow
def test_weights_rounded_once_give_what_autocast_gives() -> None:
    model = detector("float32").model
    picture = SCENE.pictures()[0]
    sample = DetectionSample(picture, picture.shape[:2], 0, DetectionTarget.empty(), sample_key=0)
    with torch.autocast("cpu", torch.bfloat16):
        expected = model.predict(collate([sample], pad_to=32))[0]
    found = found_by(detector("bf16"))
    assert len(found) >= 20
    assert_equal(found, expected)


@pytest.mark.slow
@pytest.mark.skipif(bool(compiler_problems()), reason="torch.compile has no compiler here")
def test_a_compiled_detector_finds_the_same() -> None:
    expected, found = found_by(detector()), found_by(detector(compile=True))
    assert len(found) >= 20
    assert torch.equal(found.labels, expected.labels)
    torch.testing.assert_close(found.boxes, expected.boxes, rtol=0, atol=0.01)
    torch.testing.assert_close(found.scores, expected.scores, rtol=0, atol=1e-4)


def assert_equal(one: Detections, other: Detections) -> None:
    for name in ("boxes", "scores", "labels"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
