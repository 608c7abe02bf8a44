"""What is compiled for a device, or exported to run on it without detres. Nothing of it runs on the pretended one:
compilers ask the device what it is, and torch.export traces with tensors of its own.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from shutil import which
from typing import Any

import pytest
import torch
from torch import Tensor

from detres.benchmarks.scenes import Scene, detres_detector, torchvision_detector
from detres.commands.main import main
from detres.config.loading import load_config
from detres.prediction import Detector
from detres.structures import Detections
from detres.tasks.detection.models import build_detector, prepare_detector
from detres.training.loop import train_steps
from detres.training.optimizers import build_optimizer
from tests.gpu.steps import same_detections

pytestmark = [pytest.mark.gpu, pytest.mark.slow]

needs_compiler = pytest.mark.skipif(which("gcc") is None, reason="what is compiled for a card needs a C compiler")

SCENE = Scene("resnet18", 128, 160, images=1, classes=12)
LESSON = Scene("resnet18", 96, 128, images=2, classes=4, objects=3)
SMALL = (
    *("model.backbone={name: resnet18, weights: null, frozen_stages: 0}", "data.classes=[a,b,c]"),
    *("model.rpn.pre_nms_train=100", "model.rpn.post_nms_train=40", "model.roi.positive_fraction=1.0"),
)


def test_an_exported_detector_finds_on_its_device_what_the_detector_finds(
    real_device: torch.device, tmp_path: Path
) -> None:
    detector = Detector(*detres_detector(torchvision_detector(SCENE), SCENE), device=str(real_device), score=0.2)
    file = tmp_path / "detector.pt2"
    torch.export.save(detector.export((SCENE.height, SCENE.width)), file)
    batch = SCENE.batch().to(real_device)
    program = torch.export.load(file).module()
    with torch.no_grad():
        same_detections(
            *([listed(run(batch.images, batch.sizes))] for run in (detector.model.predict_tensors, program))
        )


def listed(found: tuple[Tensor, Tensor, Tensor, Tensor]) -> Detections:
    """Of the one image there is."""
    assert {tensor.device.type for tensor in found} == {"cuda"}
    boxes, scores, labels, (count,) = (tensor.cpu() for tensor in found)
    return Detections(boxes[0, :count], scores[0, :count], labels[0, :count], (SCENE.height, SCENE.width))


@needs_compiler
def test_a_compiled_backbone_learns_what_another_learns(real_device: torch.device) -> None:
    losses = []
    for compiled in ("false", "true"):
        config = load_config("coco_r50_fpn", [*SMALL, f"training.compile={compiled}"])
        model = prepare_detector(build_detector(config, ["a", "b", "c"]), config, real_device)
        batches, optimizer = itertools.repeat(LESSON.batch()), build_optimizer(model, lr=1e-4)
        steps = train_steps(model, batches, optimizer, lambda _: 1e-4, steps=2, device=real_device)
        losses.append([(report.losses or {})["loss"] for report in steps])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


@needs_compiler
def test_a_compiled_run_of_a_classifier_learns_what_another_learns(
    tiny_classes: Any, real_device: torch.device, tmp_path: Path
) -> None:
    train = ("train_cls", "--cfg", str(tiny_classes.cfg), "--device", str(real_device), "training.steps=3")
    losses = []
    for compiled in ("false", "true"):
        out = tmp_path / compiled
        assert main([*train, "--out", str(out), f"training.compile={compiled}"]) == 0
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        losses.append([line["loss"] for line in lines if line["kind"] == "train"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
