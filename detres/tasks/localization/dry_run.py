"""What a localization config contributes to a dry run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from detres.config.localization_schema import LocalizationConfig
from detres.data.classification.crops import ScaleCropping
from detres.data.localization.datasets import load_localized
from detres.draws import Purpose, key
from detres.errors import DataError
from detres.localization.localizers import ClassRpnLocalizer, Localizer, RcnnLocalizer
from detres.reporter import Reporter
from detres.structures import DetectionTarget, LocalizationBatch
from detres.tables import LOCALIZATION_FORMATS
from detres.tasks.localization.models import (
    localizer_from_weights,
    localizer_of_config,
    prepare_localizer,
    say_loaded,
)
from detres.tasks.localization.training import say_images
from detres.tasks.runs.assembly import without_absent_weights
from detres.tasks.runs.class_names import agreed_class_names
from detres.tasks.runs.parts import DryParts

if TYPE_CHECKING:
    from detres.data.localization.localized import LocalizedImages
    from detres.tasks.runs.opened_model import OpenedModel


def localization_dry_parts(
    config: LocalizationConfig,
    weights: str | Path | OpenedModel | None,
    device: torch.device,
    reporter: Reporter,
    data_is_stated: bool,
) -> DryParts[LocalizationBatch]:
    """The localizer, and two images with a square on each, of different classes."""
    images = _images(config, reporter, data_is_stated)
    names = agreed_class_names(config, images.class_names if images is not None else None, LOCALIZATION_FORMATS)
    ScaleCropping(config.data.crop, config.data.shortest_side)  # A contradiction shows here.
    if weights is not None:
        model = localizer_from_weights(config, names, weights, reporter)
    else:
        model = localizer_of_config(without_absent_weights(config, reporter), names)
        say_loaded(model, reporter)
    model = prepare_localizer(model, config, device)

    def predict(batch: LocalizationBatch) -> str:
        return _predicted(model, batch, names)

    return DryParts(model, embedded_batch(config.data.crop, len(names)), predict, images)


def _predicted(model: Localizer, batch: LocalizationBatch, names: tuple[str, ...]) -> str:
    """The best box of the first image's class, in words."""
    if isinstance(model, ClassRpnLocalizer):
        found = model.candidates(batch.images[:1], batch.labels[:1, None])
        scores, boxes = found.scores[0, 0], found.boxes[0, 0]
    else:
        assert isinstance(model, RcnnLocalizer), "the only other localizer"
        scores, shares = model.judge(batch.images[:1], batch.labels[:1])
        boxes = shares * batch.images.shape[1]
    box = ", ".join(f"{edge:.0f}" for edge in boxes[scores.argmax()].tolist())
    return f"{names[int(batch.labels[0])]} at {box} with a probability of {float(scores.max().sigmoid()):.3f}"


def embedded_batch(side: int, num_classes: int) -> LocalizationBatch:
    """Two images of side × side pixels, a square on grey each."""
    images = torch.full((2, side, side, 3), 90, dtype=torch.uint8)
    inner = slice(side // 4, 3 * side // 4)
    for image, colour in zip(images, ((200, 60, 30), (40, 90, 210)), strict=True):
        image[inner, inner] = torch.tensor(colour, dtype=torch.uint8)
    labels = torch.arange(2) % num_classes
    box = torch.tensor([[side // 4, side // 4, 3 * side // 4, 3 * side // 4]], dtype=torch.float32)
    return LocalizationBatch(
        images,
        labels=labels,
        targets=tuple(DetectionTarget(box, label[None], torch.zeros(1, dtype=torch.bool)) for label in labels),
        image_ids=(0, 1),
        sample_keys=torch.tensor([key(0, Purpose.SAMPLING, place) for place in range(2)]),
    )


def _images(config: LocalizationConfig, reporter: Reporter, data_is_stated: bool) -> LocalizedImages | None:
    """The set to learn from; None where it is not there and need not be."""
    try:
        images = load_localized(config.data, "train")
    except DataError as error:
        if data_is_stated:
            raise
        reporter.say(f"data: not here ({error}); the dry run goes on without")
        return None
    say_images(images, reporter)
    return images
