"""What a classification config contributes to a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from detres.config.classification_schema import ClassificationConfig
from detres.data.classification.datasets import load_training_set
from detres.draws import Purpose, key
from detres.errors import DataError
from detres.reporter import Reporter
from detres.structures import ClassificationBatch
from detres.tables import CLASSIFICATION_FORMATS
from detres.tasks.classification.data import check_in_memory, transform_of
from detres.tasks.classification.models import (
    classifier_from_weights,
    classifier_of_config,
    lessons_of,
    prepare_classifier,
    say_loaded,
)
from detres.tasks.runs.assembly import without_absent_weights
from detres.tasks.runs.class_names import agreed_class_names
from detres.tasks.runs.parts import DryParts
from detres.words import number_of

if TYPE_CHECKING:
    from detres.data.classification.classified import ClassifiedImages
    from detres.data.classification.shard_stream import ShardedImages
    from detres.tasks.runs.opened_model import OpenedModel


def classification_dry_parts(
    config: ClassificationConfig,
    weights: str | Path | OpenedModel | None,
    device: torch.device,
    reporter: Reporter,
    data_is_stated: bool,
) -> DryParts[ClassificationBatch]:
    """The classifier, and two images with a square on each, of different colours."""
    images = _images(config, reporter, data_is_stated)
    names = agreed_class_names(config, images.class_names if images is not None else None, CLASSIFICATION_FORMATS)
    check_in_memory(config.data, images)
    transform_of(config.data)  # A contradiction in the augmentation shows here.
    if weights is not None:
        model = classifier_from_weights(config, names, weights, reporter)
    else:
        model = classifier_of_config(without_absent_weights(config, reporter), names)
        say_loaded(model, reporter)
    model.lessons = lessons_of(config, len(names))
    model = prepare_classifier(model, config, device)

    def predict(batch: ClassificationBatch) -> str:
        best = model.predict(batch.images).softmax(dim=1)[0].max(dim=0)
        return f"{names[int(best.indices)]} with a probability of {float(best.values):.3f}"

    return DryParts(model, embedded_batch(config.data.crop, len(names)), predict, images)


def embedded_batch(side: int, num_classes: int) -> ClassificationBatch:
    """Two images of side × side pixels, a square on grey each."""
    images = torch.full((2, side, side, 3), 90, dtype=torch.uint8)
    inner = slice(side // 4, side // 2)
    for image, colour in zip(images, ((200, 60, 30), (40, 90, 210)), strict=True):
        image[inner, inner] = torch.tensor(colour, dtype=torch.uint8)
    return ClassificationBatch(
        images,
        labels=torch.arange(2) % num_classes,
        image_ids=(0, 1),
        sample_keys=torch.tensor([key(0, Purpose.SAMPLING, place) for place in range(2)]),
        key=key(0, Purpose.MIXING),
    )


def _images(
    config: ClassificationConfig, reporter: Reporter, data_is_stated: bool
) -> ClassifiedImages | ShardedImages | None:
    """The set to learn from; None where it is not there and need not be."""
    try:
        images = load_training_set(config.data)
    except DataError as error:
        if data_is_stated:
            raise
        reporter.say(f"data: not here ({error}); the dry run goes on without")
        return None
    shown = ", ".join(images.class_names[:12]) + (", …" if len(images.class_names) > 12 else "")
    held = f"{number_of(len(images), 'image')} of {number_of(len(images.class_names), 'class')}"
    reporter.say(f"data: {images.name}, {held}: {shown}")
    return images
