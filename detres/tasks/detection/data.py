"""A detection config's data: sets of images with their transforms, and batches of them for training and for testing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from detres.config.detection_schema import Config
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.image_copies import ImageCopy, copies_loader
from detres.data.detection.loaders import DetectionDataset, evaluation_loader, training_loader
from detres.detection.model.building import padding_multiple
from detres.structures import DetectionBatch
from detres.tasks.detection.transforms import transform_of
from detres.tasks.runs.sharing import test_share, training_share


def training_set(config: Config, images: AnnotatedImages) -> DetectionDataset:
    """Images with augmentation, as the config asks."""
    transform = transform_of(config.data, training=True)
    images = images.with_difficult(config.data.difficult)
    strict = bool(config.data.strict)
    return DetectionDataset(images, transform, seed=config.training.seed, strict=strict, whole=strict)


def training_batches(
    config: Config, dataset: DetectionDataset, device: torch.device
) -> tuple[Callable[[int], Iterator[DetectionBatch]], int]:
    """A function from a step to this rank's endless micro-batches, and how many of them make a step.

    Raises ConfigError where the batch cannot be shared out evenly.
    """
    share, accumulate = training_share(config)

    def batches_from(step: int) -> Iterator[DetectionBatch]:
        loader = training_loader(
            dataset,
            replace(share, start_step=step),
            pad_to=padding_multiple(config.model),
            workers=config.data.workers,
            pin_memory=device.type == "cuda",
        )
        return iter(loader)

    return batches_from, accumulate


def evaluation_set(config: Config, images: AnnotatedImages, *, strict: bool) -> DetectionDataset:
    """Images as they are tested. strict: whether one that cannot be decoded is an error."""
    transform = transform_of(config.data, training=False)
    return DetectionDataset(images, transform, strict=strict, whole=bool(config.data.strict))


def evaluation_batches(config: Config, dataset: DetectionDataset, device: torch.device) -> Iterator[DetectionBatch]:
    """This rank's share of the images, each once."""
    loader = evaluation_loader(
        dataset,
        test_share(config),
        pad_to=padding_multiple(config.model),
        workers=config.data.workers,
        pin_memory=device.type == "cuda",
    )
    return iter(loader)


def evaluation_copies(
    config: Config, dataset: DetectionDataset, copies: Sequence[ImageCopy], device: torch.device
) -> Iterator[tuple[DetectionBatch, ...]]:
    """This rank's share of the images, each once and in all its copies."""
    loader = copies_loader(
        dataset, copies, test_share(config), workers=config.data.workers, pin_memory=device.type == "cuda"
    )
    return iter(loader)
