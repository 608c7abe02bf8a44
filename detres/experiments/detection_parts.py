"""What a detection config contributes to a run."""

from __future__ import annotations

from typing import Any

import torch

from detres.config.schema import Config
from detres.data.annotations import AnnotatedImages
from detres.data.datasets import load_dataset
from detres.detection.detector_files import settings_of
from detres.detection.faster_rcnn import FasterRCNN
from detres.detection.testing import Member
from detres.distributed import share_buffers
from detres.errors import ConfigError
from detres.experiments.assembly import load_once
from detres.experiments.detection_data import training_batches, training_set
from detres.experiments.detection_models import (
    build_detector,
    detector_from_weights,
    detector_of_checkpoint,
    prepare_detector,
    say_loaded,
)
from detres.experiments.evaluating import map_classes, measure
from detres.experiments.parts import Say, Start, TrainingParts
from detres.experiments.same_data import SameData
from detres.training.running import Evaluate


def detection_parts(config: Config, start: Start, device: torch.device, say: Say) -> TrainingParts:
    """The detector, its batches and its evaluation. Raises UserError."""
    images = load_training_images(config, say)
    same = SameData(start, config.training.allow_other_images, say)
    same.check_classes(images)
    same.check_images("train", images)
    if start.checkpoint is not None:
        model = detector_of_checkpoint(config, start.checkpoint)
    elif start.weights is not None:
        model = detector_from_weights(config, images.class_names, start.weights, say)
    else:
        model = build_detector(config, images.class_names)
        say_loaded(model, say)
    settings = settings_of(model, config.model, config.data, config.test, config.recipe)
    model = prepare_detector(model, config, device)
    dataset = training_set(config, images)
    batches, accumulate = training_batches(config, dataset, device)
    evaluate = _evaluator(model, config, device, say, same)
    return TrainingParts(
        model=model,
        metadata=settings.to_metadata() | same.to_metadata(),
        batches=batches,
        accumulate=accumulate,
        evaluate=evaluate,
        warnings=lambda: [str(problem) for problem in dataset.undecodable()],
    )


def load_training_images(config: Config, say: Say = lambda line: None) -> AnnotatedImages:
    """The training split, what is wrong with it said once."""
    images = load_once(lambda: load_dataset(config.data, "train"))
    say(f"{images.name}: {len(images)} images, {len(images.boxes)} boxes of {len(images.class_names)} classes")
    for kind, count in images.problem_counts().items():
        example = next(problem for problem in images.problems if problem.kind == kind)
        say(f"warning: {count} × {kind}, such as {example.file}: {example.detail} (check_data lists them all)")
    if not len(images):
        raise ConfigError(f"{images.name}: no images to train on")
    return images


def _evaluator(model: FasterRCNN, config: Config, device: torch.device, say: Say, same: SameData) -> Evaluate | None:
    """Measures on val, or on test where there is no val; None where there is neither, or nothing is annotated."""
    split = "val" if config.data.val or config.data.val_fraction else "test" if config.data.test else None
    if split is None:
        return None
    images = load_dataset(config.data, split)
    if not len(images.boxes):
        say(f"{images.name}: nothing is annotated, so it is not evaluated; eval_det writes what its server takes")
        return None
    same.check_images(split, images)
    map_classes(model.class_names, images.class_names)  # A contradiction shows now, not after the training.
    if split == "test" and config.training.eval_every:
        say(f"warning: there is no val split, so the best checkpoint is chosen on {images.name}")

    def evaluate(step: int) -> dict[str, Any] | None:
        share_buffers(model)
        measured = measure([Member(model, config.data)], config, images, device)
        return measured.metrics if measured else None

    return evaluate
