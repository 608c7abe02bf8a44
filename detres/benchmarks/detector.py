"""Detection: pictures in memory to boxes, with the same weights on both sides."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN

from detres.benchmarks.agreement import same_detections, similar_detections
from detres.benchmarks.contenders import Comparison, Contender, Makers, autocast, measure
from detres.benchmarks.machine import Machine, Precision, count_operations, exact_float32
from detres.benchmarks.rows import Row
from detres.benchmarks.scenes import Scene, detres_detector, their_images, torchvision_detector
from detres.benchmarks.timing import Plan
from detres.prediction import Detector

TARGETS = {"float32": 1.3, "bf16": 2.5}


def measure_detector(machine: Machine, scene: Scene, plan: Plan) -> list[Row]:
    """Rows of detector/…: time an image, and peak memory."""
    makers: Makers = {
        "ours float32": partial(make_ours, scene, machine.device, "float32", machine.compile),
        "ours bf16": partial(make_ours, scene, machine.device, "bf16", machine.compile),
        "torchvision float32": partial(make_theirs, scene, machine.device, "float32"),
        "torchvision bf16": partial(make_theirs, scene, machine.device, "bf16"),
    }
    contenders = {name: make() for name, make in makers.items()}
    with exact_float32():
        expected = contenders["torchvision float32"]()
        checks = {
            "float32": same_detections(contenders["ours float32"](), expected),
            "bf16": similar_detections(contenders["ours bf16"](), expected),
        }
    comparison = Comparison(
        name=f"detector/{scene.name}",
        work=scene.work,
        images=scene.images,
        operations=count_operations(contenders["torchvision float32"]),
        peers=["torchvision"],
        targets=TARGETS,
        checks=checks,
    )
    return measure(comparison, makers, contenders, machine, plan)


def make_ours(scene: Scene, device: torch.device, precision: Precision, compile: bool) -> Contender:
    """detres.Detector, from uint8 pictures on the host to Detections on the host."""
    model, settings = detres_detector(torchvision_detector(scene), scene)
    detector = Detector(model, settings, device=str(device), precision=precision, compile=compile)
    pictures = scene.pictures()
    return Contender(
        lambda: list(detector.predict_many(pictures, batch=len(pictures))),
        lambda: [*detector.model.parameters(), *detector.model.buffers()],
    )


def make_theirs(scene: Scene, device: torch.device, precision: Precision) -> Contender:
    """torchvision's model as it comes, from float32 images on the host to detections on the host."""
    model = torchvision_detector(scene).to(device)
    call = prediction_of_theirs(model, scene, device, precision)
    return Contender(call, lambda: [*model.parameters(), *model.buffers()])


def prediction_of_theirs(
    model: TorchvisionFasterRCNN, scene: Scene, device: torch.device, precision: Precision
) -> Callable[[], list[dict[str, Tensor]]]:
    """From float32 images on the host to detections on the host."""
    images = their_images(scene.pictures())

    @torch.inference_mode()
    def call() -> list[dict[str, Tensor]]:
        with autocast(device, precision):
            found = model([image.to(device) for image in images])
        return [{name: tensor.cpu() for name, tensor in detections.items()} for detections in found]

    return call
