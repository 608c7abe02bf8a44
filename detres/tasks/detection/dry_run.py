"""What a detection config contributes to a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from detres.config.detection_schema import Config
from detres.data.formats.format import find_root
from detres.detection.model.building import padding_multiple
from detres.errors import DataError
from detres.reporter import Reporter
from detres.structures import DetectionBatch, DetectionTarget
from detres.tables import DETECTION_FORMATS
from detres.tasks.detection.models import build_detector, prepare_detector, say_loaded
from detres.tasks.detection.transforms import transform_of
from detres.tasks.runs.assembly import without_absent_weights
from detres.tasks.runs.class_names import agreed_class_names
from detres.tasks.runs.parts import DryParts
from detres.words import number_of

if TYPE_CHECKING:
    from detres.data.detection.annotations import AnnotatedImages
    from detres.tasks.runs.opened_model import OpenedModel

SIDES = (96, 128)


def detection_dry_parts(
    config: Config,
    weights: str | Path | OpenedModel | None,
    device: torch.device,
    reporter: Reporter,
    data_is_stated: bool,
) -> DryParts[DetectionBatch]:
    """The detector, and two images with a square on each, one wide and one tall."""
    images = _images(config, reporter, data_is_stated)
    names = images.class_names if images is not None else None
    transform_of(config.data, training=True)  # A mistyped augmentation shows here.
    if weights is not None:
        from detres.tasks.detection.weights import detector_from_weights

        model = detector_from_weights(config, agreed_class_names(config, names, DETECTION_FORMATS), weights, reporter)
    else:
        model = build_detector(without_absent_weights(config, reporter), names)
        say_loaded(model, reporter)
    model = prepare_detector(model, config, device)

    def predict(batch: DetectionBatch) -> str:
        found = sum(len(detections) for detections in model.predict(batch))
        return f"{found} detections above {config.test.score:g}"

    return DryParts(
        model,
        embedded_batch(padding_multiple(config.model), len(model.class_names)),
        predict,
        images,
    )


def embedded_batch(pad_to: int, num_classes: int) -> DetectionBatch:
    """Two images with a square on each, one wide and one tall."""
    side = -(-max(SIDES) // pad_to) * pad_to
    images = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    sizes = torch.tensor([SIDES, SIDES[::-1]])
    targets = []
    for place, (height, width) in enumerate(sizes.tolist()):
        images[place, :height, :width] = 90
        images[place, 20:60, 30:80] = torch.tensor([200, 60, 30], dtype=torch.uint8)
        box = torch.tensor([[30.0, 20.0, 80.0, 60.0]])
        targets.append(DetectionTarget(box, torch.tensor([place % num_classes]), torch.tensor([False])))
    return DetectionBatch(
        images=images,
        sizes=sizes,
        original_sizes=sizes,
        image_ids=(0, 1),
        targets=tuple(targets),
        sample_keys=torch.tensor([0, 1]),
    )


def _images(config: Config, reporter: Reporter, data_is_stated: bool) -> AnnotatedImages | None:
    """The set to learn from; None where it is not there and need not be."""
    try:
        find_root(DETECTION_FORMATS, config.data)
        from detres.data.detection.datasets import load_dataset  # the readers, which a set that is absent needs not

        images = load_dataset(config.data, "train")
    except DataError as error:
        if data_is_stated:
            raise
        reporter.say(f"data: not here ({error}); the dry run goes on without")
        return None
    held = f"{number_of(len(images), 'image')}, {number_of(len(images.boxes), 'box')}"
    reporter.say(f"data: {images.name}, {held} of {', '.join(images.class_names)}")
    return images
