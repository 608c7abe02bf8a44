"""Build everything a run would build, take one step and one prediction on two small images, and say what was found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from detres.backbones.weight_tags import find_published, is_tag
from detres.config.loading import dump_config
from detres.config.schema import Config
from detres.data.datasets import load_dataset
from detres.data.loaders import DetectionSample, collate
from detres.data.sizes import resize_image
from detres.detection.building import padding_multiple
from detres.detection.faster_rcnn import FasterRCNN
from detres.distributed import local_device
from detres.errors import DataError
from detres.experiments.assembly import optimizer_of, prepare_for, schedule_of, transform_of
from detres.experiments.models import agreed_class_names, build_detector, detector_from_weights
from detres.experiments.training import say_loaded
from detres.structures import DetectionBatch, DetectionTarget

Say = Callable[[str], None]

SIDES = (96, 128)


def dry_run(
    config: Config,
    *,
    weights: str | Path | None = None,
    device: str | None = None,
    say: Say = lambda line: None,
    data_is_stated: bool = False,
) -> None:
    """Print the resolved config, the schedule, parameters and memory; learn from two embedded images once.

    weights: a detector to start from. data_is_stated: the user named the data, so that they must be there; else a
    missing set is only said. So are published weights that are not at hand: a dry run downloads nothing.
    """
    where = local_device(device)
    say(dump_config(config).rstrip())
    names = _class_names(config, say, data_is_stated)
    transform_of(config.data, training=True)  # A mistyped augmentation shows here.
    if weights is not None:
        model = detector_from_weights(config, agreed_class_names(config, names), weights, say)
    else:
        model = build_detector(_without_absent_weights(config, say), names)
        say_loaded(model, say)
    model = prepare_for(model, config, where)
    say_schedule(config, say)
    say_size(model, config, say)
    batch = embedded_batch(padding_multiple(config.model), len(model.class_names)).to(where)
    with torch.autocast(where.type, torch.bfloat16, enabled=config.training.precision == "bf16"):
        losses = _one_step(model, config, batch)
        found = _one_prediction(model, batch)
    say("one step on two embedded images: " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
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


def say_schedule(config: Config, say: Say) -> None:
    """The learning rate where it changes."""
    schedule, steps = schedule_of(config), config.training.steps
    marks = sorted({0, config.schedule.warmup_steps, *config.schedule.milestones, steps // 2, steps - 1})
    rates = ", ".join(f"{schedule.lr_at(step):.3g} at {step}" for step in marks if step < steps)
    say(f"schedule: {steps} steps of {config.training.batch} images; learning rate {rates}")


def say_size(model: nn.Module, config: Config, say: Say) -> None:
    """Parameters, and a lower bound of memory: weights, gradients, the optimizer's state and one set of features."""
    total = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    state = {"sgd": 1, "adamw": 2}[config.optimizer.name]
    fixed = 4 * (total + trained * (1 + state))
    say(f"parameters: {total:,}, of which {trained:,} are trained")
    say(f"memory: {fixed / 2**20:.0f} MiB for weights, gradients and optimizer, and activations of the images on top")


def _class_names(config: Config, say: Say, data_is_stated: bool) -> tuple[str, ...] | None:
    """The set's; None where it is not there and need not be."""
    try:
        images = load_dataset(config.data, "train")
    except DataError as error:
        if data_is_stated:
            raise
        say(f"data: not here ({error}); the dry run goes on without")
        return None
    say(f"data: {images.name}, {len(images)} images, {len(images.boxes)} boxes of {', '.join(images.class_names)}")
    return images.class_names


def _without_absent_weights(config: Config, say: Say) -> Config:
    """Published weights become random ones unless they are in the cache; files are loaded."""
    section = config.model.backbone
    if section.weights is None or not is_tag(section.weights) or section.name.startswith("timm/"):
        return config
    if find_published(section.weights, section.name).file.is_file():
        return config
    say(f"weights: {section.weights} is not in the cache; a dry run downloads nothing, random weights stand in for it")
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
