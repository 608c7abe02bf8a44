"""Build everything a run would build, take one step and one prediction on two small images, and say what was found."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from detres.config.loading import dump_config
from detres.config.schema import Config
from detres.data.datasets import load_dataset
from detres.data.loaders import DetectionSample, collate
from detres.data.sizes import resize_image
from detres.detection.building import padding_multiple
from detres.detection.faster_rcnn import FasterRCNN
from detres.errors import DataError
from detres.experiments.assembly import build_detector, optimizer_of, schedule_of
from detres.structures import DetectionBatch, DetectionTarget

SIDES = (96, 128)
# Stand-ins for the classes of a set that is not there: the dry run needs no data.
_USUAL_CLASSES = {"coco": 80, "voc": 20, "yolo": 2, "shapes": 6}


def dry_run(config: Config, *, say: Callable[[str], None], data_is_stated: bool) -> None:
    """Print the resolved config, the schedule, parameters and memory; learn from two embedded images once.

    data_is_stated: the user named the data, so that it must be there; else a missing set is only said.
    Weights that the config names but are not at hand are only said, too.
    """
    say(dump_config(config).rstrip())
    class_names = config.model.class_names or _class_names(config, say, data_is_stated)
    model = build_detector(_without_absent_weights(config, say), class_names)
    say_schedule(config, say)
    say_size(model, config, say)
    losses = _one_step(model, config, embedded_batch(padding_multiple(config.model), len(class_names)))
    say("one step on two embedded images: " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
    found = _one_prediction(model, embedded_batch(padding_multiple(config.model), len(class_names)))
    say(f"one prediction: {found} detections above {config.test.score:g}; dry run done")


def embedded_batch(pad_to: int, num_classes: int) -> DetectionBatch:
    """Two images with a square on each, one wide and one tall."""
    samples = []
    for place, (height, width) in enumerate([SIDES, SIDES[::-1]]):
        image = resize_image(np.full((8, 8, 3), 90, dtype=np.uint8), (height, width))
        image[20:60, 30:80] = (200, 60, 30)
        target = DetectionTarget(
            torch.tensor([[30.0, 20.0, 80.0, 60.0]]), torch.tensor([place % num_classes]), torch.tensor([False])
        )
        samples.append(DetectionSample(image, (height, width), place, target, sample_key=place))
    return collate(samples, pad_to)


def say_schedule(config: Config, say: Callable[[str], None]) -> None:
    """The learning rate where it changes."""
    schedule, steps = schedule_of(config), config.training.steps
    marks = sorted({0, config.schedule.warmup_steps, *config.schedule.milestones, steps // 2, steps - 1})
    rates = ", ".join(f"{schedule.lr_at(step):.3g} at {step}" for step in marks if step < steps)
    say(f"schedule: {steps} steps of {config.training.batch} images; learning rate {rates}")


def say_size(model: nn.Module, config: Config, say: Callable[[str], None]) -> None:
    """Parameters, and a lower bound of memory: weights, gradients, the optimizer's state and one set of features."""
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    state = {"sgd": 1, "adamw": 2}[config.optimizer.name]
    fixed = 4 * (total + trained * (1 + state))
    say(f"parameters: {total:,}, of which {trained:,} are trained")
    say(f"memory: {fixed / 2**20:.0f} MiB for weights, gradients and optimizer, and activations of the images on top")


def _class_names(config: Config, say: Callable[[str], None], data_is_stated: bool) -> tuple[str, ...]:
    try:
        images = load_dataset(config.data, "train")
    except DataError as error:
        if data_is_stated:
            raise
        say(f"data: not here ({error}); the dry run goes on without")
        return tuple(f"class {i}" for i in range(_USUAL_CLASSES[config.data.format]))
    say(f"data: {images.name}, {len(images)} images, {len(images.boxes)} boxes of {', '.join(images.class_names)}")
    return images.class_names


def _without_absent_weights(config: Config, say: Callable[[str], None]) -> Config:
    """A dry run downloads nothing: tags become random weights, files are loaded."""
    section = config.model.backbone
    is_file = section.weights is not None and ("." in section.weights or section.weights.startswith("/"))
    if section.weights is None or is_file:
        return config
    say(f"weights: {section.weights} is not fetched by a dry run; random weights stand in for it")
    section = section.model_copy(update={"weights": None, "frozen_stages": 0})
    return config.model_copy(update={"model": config.model.model_copy(update={"backbone": section})})


def _one_step(model: FasterRCNN, config: Config, batch: DetectionBatch) -> dict[str, float]:
    optimizer = optimizer_of(model, config)
    losses = model.train()(batch)
    sum(losses.values()).backward()
    optimizer.step()
    return {name: loss.item() for name, loss in losses.items()}


def _one_prediction(model: FasterRCNN, batch: DetectionBatch) -> int:
    return sum(len(detections) for detections in model.eval().predict(batch))
