"""R50-FPN on a GPU: training and inference, ours and torchvision's with the same weights, as it comes and at its best.

torchvision's detector at its best is in bf16 by autocast, with channels_last. What is trained lies in pinned memory, as
a loader hands it over; what is detected begins as pictures on the host and ends as boxes there, on both sides.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from typing import Literal

import torch
from torch import Tensor
from torchvision.models.detection import FasterRCNN as TorchvisionFasterRCNN

from detres.benchmarks.contenders import autocast
from detres.benchmarks.detector import prediction_of_theirs
from detres.benchmarks.gpu.clock import Call
from detres.benchmarks.gpu.entries import Entry
from detres.benchmarks.gpu.measuring import Bench, Figures, Work, fresh_compiler, measure_call
from detres.benchmarks.machine import Precision, count_operations
from detres.benchmarks.scenes import Scene, detres_detector, their_images, their_targets, torchvision_detector
from detres.prediction import Detector
from detres.prediction.detector import NamedDetections
from detres.training.loop import StepReport, train_steps
from detres.training.optimizers import build_optimizer

Kind = Literal["train", "predict"]
Maker = Callable[[Scene, torch.device], Call]
# So small that the weights, and with them the work, stay what they were.
_RATE = 1e-9
# As recipes have it: a line in so many steps, for which the host waits.
_LOG_EVERY = 20
_PEER = "torchvision_float32"


def detector_entries(bench: Bench, kind: Kind, scene: Scene, batches: Sequence[int]) -> list[Entry]:
    """Rows of train/… or predict/…: every contender at every batch."""
    return [_entry(bench, kind, scene, batch, name) for batch in batches for name in _eager(kind)]


def compiled_detector_entries(bench: Bench, kind: Kind, scene: Scene, batch: int) -> list[Entry]:
    """Ours in bf16, backbone and neck compiled."""
    return [_entry(bench, kind, scene, batch, name) for name in _compiled(kind)]


def _eager(kind: Kind) -> Mapping[str, tuple[Precision, Maker]]:
    if kind == "train":
        return {
            "ours_bf16": ("bf16", partial(our_training, precision="bf16")),
            _PEER: ("float32", partial(their_training, precision="float32")),
            "torchvision_bf16_channels_last": ("bf16", partial(their_training, precision="bf16")),
            "ours_float32": ("float32", partial(our_training, precision="float32")),
        }
    return {
        "ours_bf16": ("bf16", partial(our_prediction, precision="bf16")),
        _PEER: ("float32", partial(their_prediction, precision="float32")),
        "torchvision_bf16_channels_last": ("bf16", partial(their_prediction, precision="bf16")),
        "ours_float32": ("float32", partial(our_prediction, precision="float32")),
    }


def _compiled(kind: Kind) -> Mapping[str, tuple[Precision, Maker]]:
    make = our_training if kind == "train" else our_prediction
    return {"ours_bf16_compiled": ("bf16", partial(make, precision="bf16", compile=True))}


def _entry(bench: Bench, kind: Kind, scene: Scene, batch: int, name: str) -> Entry:
    compiles = name in _compiled(kind)
    precision, make = {**_eager(kind), **_compiled(kind)}[name]
    return Entry(
        name=f"{kind}/{scene.name}/batch{batch}/{name}",
        measure=partial(_measure, bench, kind, scene, make, precision, compiles),
        batch=batch,
        peer=name == _PEER,
        compiles=compiles,
    )


def _measure(
    bench: Bench, kind: Kind, scene: Scene, make: Maker, precision: Precision, compiles: bool, batch: int
) -> Figures:
    work = Work(
        images=batch,
        operations=batch * operations_of_image(kind, replace(scene, images=1), bench.device),
        precision=precision,
        profiled=not compiles,
    )
    with fresh_compiler(bench) if compiles else nullcontext():
        return measure_call(make(replace(scene, images=batch), bench.device), bench, work)


@cache
def operations_of_image(kind: Kind, scene: Scene, device: torch.device) -> int:
    """Floating-point operations that torchvision's detector takes for an image: the same convolutions as ours."""
    make = their_training if kind == "train" else their_prediction
    return count_operations(make(replace(scene, images=1), device, precision="float32"))


@cache
def pair_model(scene: Scene) -> TorchvisionFasterRCNN:
    """torchvision's detector, from which both sides are made: it takes seconds, and is copied before it is used."""
    return torchvision_detector(scene)


def our_training(
    scene: Scene, device: torch.device, *, precision: Precision, compile: bool = False, log_every: int = _LOG_EVERY
) -> Callable[[], StepReport]:
    """detres's own loop, a step a call."""
    model, _ = detres_detector(pair_model(replace(scene, images=1)), scene)
    model = model.to(device).to(memory_format=torch.channels_last)
    if compile:
        model.backbone.compile()
        model.neck.compile()
    batch = scene.batch()
    reports = train_steps(
        model,
        itertools.repeat(batch.pin_memory() if device.type == "cuda" else batch),
        build_optimizer(model, lr=_RATE),
        lambda step: _RATE,
        steps=2**40,
        device=device,
        precision=precision,
        due=lambda step: step % log_every == 0,
    )
    return lambda: next(reports)


def their_training(scene: Scene, device: torch.device, *, precision: Precision) -> Call:
    """The plain step of torchvision's reference training, without its logging."""
    model = _theirs(scene, device, precision).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(parameters, lr=_RATE, momentum=0.9, weight_decay=1e-4)
    images = [image.pin_memory() if device.type == "cuda" else image for image in their_images(scene.pictures())]
    targets = scene.targets()

    def call() -> None:
        with autocast(device, precision):
            losses = model([image.to(device, non_blocking=True) for image in images], their_targets(targets, device))
            total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return call


def our_prediction(
    scene: Scene, device: torch.device, *, precision: Precision, compile: bool = False
) -> Callable[[], list[NamedDetections]]:
    """detres.Detector, from uint8 pictures on the host to Detections on the host."""
    model, settings = detres_detector(pair_model(replace(scene, images=1)), scene)
    detector = Detector(model, settings, device=str(device), precision=precision, compile=compile)
    pictures = scene.pictures()
    return lambda: list(detector.predict_many(pictures, batch=len(pictures)))


def their_prediction(
    scene: Scene, device: torch.device, *, precision: Precision
) -> Callable[[], list[dict[str, Tensor]]]:
    """prediction_of_theirs, by the model in its best layout."""
    return prediction_of_theirs(_theirs(scene, device, precision).eval(), scene, device, precision)


def _theirs(scene: Scene, device: torch.device, precision: Precision) -> TorchvisionFasterRCNN:
    """As it comes in float32, and with channels_last in bf16."""
    layout = torch.channels_last if precision == "bf16" else torch.contiguous_format
    return copy.deepcopy(pair_model(replace(scene, images=1))).to(device).to(memory_format=layout)
