"""Detections on a device: as many waits a batch as planned, and the boxes that a CPU finds."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from detres.benchmarks.scenes import Scene, detres_detector, torchvision_detector
from detres.config.detection_schema import TestConfig
from detres.detection.files import DetectorSettings
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.prediction import Detector
from detres.structures import Detections
from tests.gpu.conftest import WaitsAtMost
from tests.gpu.steps import repeated, same_detections

pytestmark = pytest.mark.gpu

SCENE = Scene("resnet18", 96, 128, images=2, classes=12)
Made = tuple[FasterRCNN, DetectorSettings]
# Tests of more than one look, each with the waits of a picture.
LOOKS: dict[str, tuple[dict[str, object], int]] = {
    "refined, voted": ({"refine": 1, "vote": "score"}, 14),
    "two scales, maxout": ({"scales": (80, 112)}, 16),
    "flipped": ({"flip": True}, 20),
    "two scales, flipped, wbf": ({"scales": (80, 112), "flip": True, "fusion": "wbf"}, 40),
    "two scales, soft-nms": ({"scales": (80, 112), "fusion": "soft_nms"}, 20),
}


@pytest.fixture(scope="module")
def made() -> Made:
    """Weights that behave as trained ones do, on the CPU; few proposals, for their layers are wide."""
    model, settings = detres_detector(torchvision_detector(SCENE), SCENE)
    model.rpn.post_nms[False] = 100
    return model, settings


def detector_of(made: Made, device: str, **test: object) -> Detector:
    model, settings = made
    # What is found is not cut off at a hundredth detection, of which it were chance which one it is.
    looks = TestConfig(**{"score": 0.2, "max_detections": 300, **test})  # type: ignore[arg-type]
    changed = copy.deepcopy(model)
    changed.roi.max_detections = 300
    return Detector(changed, replace(settings, test=looks), device=device, score=0.2)


def found(detector: Detector) -> list[Detections]:
    return list(detector.predict_many(SCENE.pictures(), batch=SCENE.images))


def test_one_look_finds_what_it_finds_on_a_cpu(made: Made, device: torch.device, waits_at_most: WaitsAtMost) -> None:
    detector = detector_of(made, str(device))
    same_detections(found(detector_of(made, "cpu")), found(detector))
    with waits_at_most(4):
        found(detector)


def test_rounded_to_bf16_one_look_finds_about_as_much(made: Made, device: torch.device) -> None:
    model, settings = made
    exact = found(detector_of(made, str(device)))
    rounded = Detector(copy.deepcopy(model), settings, device=str(device), score=0.2, precision="bf16")
    counts = sum(map(len, exact)), sum(map(len, found(rounded)))
    assert min(counts) > 0.5 * max(counts) > 0, counts


@pytest.mark.slow
@pytest.mark.parametrize("name", LOOKS)
def test_several_looks_find_what_they_find_on_a_cpu(
    name: str, made: Made, device: torch.device, waits_at_most: WaitsAtMost
) -> None:
    test, waits = LOOKS[name]
    detector = detector_of(made, str(device), **test)
    same_detections(found(detector_of(made, "cpu", **test)), found(detector))
    repeated(lambda: found(detector), waits_at_most(waits * SCENE.images))


@pytest.mark.slow
def test_one_box_a_region_is_the_box_of_each_class(made: Made, device: torch.device) -> None:
    """A class-agnostic head's offsets are those of a head whose classes all have them."""
    model, settings = made
    agnostic, usual = copy.deepcopy(model), copy.deepcopy(model)
    alone = torch.nn.Linear(agnostic.roi.deltas.in_features, 4)
    with torch.no_grad():
        alone.weight.copy_(usual.roi.deltas.weight[:4])
        alone.bias.copy_(usual.roi.deltas.bias[:4])
        usual.roi.deltas.weight.copy_(alone.weight.repeat(usual.roi.num_classes, 1))
        usual.roi.deltas.bias.copy_(alone.bias.repeat(usual.roi.num_classes))
    agnostic.roi.deltas, agnostic.roi.class_agnostic = alone, True
    one, all_of_them = (found(Detector(each, settings, device=str(device), score=0.2)) for each in (agnostic, usual))
    same_detections(one, all_of_them)
