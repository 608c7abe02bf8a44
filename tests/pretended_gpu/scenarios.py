"""What is run on the pretended device, after a first time that is not counted: one JSON line of each."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from functools import partial

import torch
from torch import nn

from tests.pretended_gpu.device import CUDA, RECORD, counted, pretend

pretend()

from detres.benchmarks.scenes import Scene, detres_detector, torchvision_detector  # noqa: E402
from detres.classification.classifier import build_classifier  # noqa: E402
from detres.config.loading import load_config  # noqa: E402
from detres.prediction import Detector  # noqa: E402
from detres.structures import ClassificationBatch  # noqa: E402
from detres.tasks.detection.models import build_detector  # noqa: E402
from detres.training.loop import train_steps  # noqa: E402
from detres.training.optimizers import build_optimizer  # noqa: E402


def trained(model: nn.Module, batch: object) -> Callable[[], object]:
    """A training step of the loop, without a line of its losses."""
    model = model.to(CUDA, memory_format=torch.channels_last)
    optimizer = build_optimizer(model, lr=1e-9)
    steps = train_steps(
        model, itertools.repeat(batch), optimizer, lambda _: 1e-9, steps=9, device=CUDA, due=lambda _: False
    )
    return lambda: next(steps)


def fpn(scene: Scene) -> Callable[[], object]:
    return trained(detres_detector(torchvision_detector(scene), scene)[0], scene.batch())


def c4(scene: Scene) -> Callable[[], object]:
    overrides = ["model.backbone.name=resnet18", "model.backbone.weights=null", "model.backbone.frozen_stages=0"]
    config = load_config("voc07_r50_c4", overrides)
    return trained(build_detector(config, [f"class {k}" for k in range(90)]), scene.batch())


def predicted(scene: Scene) -> Callable[[], object]:
    # Of trained weights, an image has some hundred candidates above the floor; of these, it had two thousand.
    detector = Detector(*detres_detector(torchvision_detector(scene), scene), device="cuda:0", score=0.2)
    pictures = scene.pictures()
    return lambda: list(detector.predict_many(pictures, batch=scene.images))


def classified() -> Callable[[], object]:
    batch = ClassificationBatch(torch.zeros(8, 64, 64, 3, dtype=torch.uint8), torch.arange(8), tuple(range(8)))
    return trained(build_classifier("resnet18", num_classes=10), batch)


def scenarios() -> Iterable[tuple[str, int, Callable[[], Callable[[], object]]]]:
    yield "train fpn r50", 4, partial(fpn, Scene("resnet50", 256, 320, images=4))
    for images in (2, 6):
        small = Scene("resnet18", 128, 160, images=images)
        yield "train fpn", images, partial(fpn, small)
        yield "train c4", images, partial(c4, small)
        yield "predict fpn", images, partial(predicted, small)
    yield "train classifier", 8, classified


if __name__ == "__main__":
    for name, images, make in scenarios():
        counts = counted(make) | {"copies": sum(RECORD.copies.values())}
        print(json.dumps({"name": name, "images": images} | counts), flush=True)
