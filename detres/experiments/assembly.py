"""From a config to the parts of an experiment. Every part is a pure function of the config, the data and the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import nn

from detres.config.schema import Config, DataConfig, ModelConfig
from detres.data.annotations import AnnotatedImages
from detres.data.checking import AnchorShapes
from detres.data.loaders import DetectionDataset, evaluation_loader, training_loader
from detres.data.samplers import TrainingSampler
from detres.data.transforms import DetectionTransform
from detres.detection.anchors import cell_anchors, default_sizes
from detres.detection.building import padding_multiple
from detres.detection.faster_rcnn import FasterRCNN
from detres.distributed import rank, world_size
from detres.errors import ConfigError
from detres.structures import DetectionBatch
from detres.training.optimizers import build_optimizer
from detres.training.schedules import StepSchedule


def prepare_for(model: FasterRCNN, config: Config, device: torch.device) -> FasterRCNN:
    """The model on its device, in the layout and compiled form the config asks for; its names do not change."""
    layout = torch.channels_last if config.training.channels_last else torch.contiguous_format
    model = model.to(device=device, memory_format=layout)
    model.memory_format = layout
    if config.training.compile:
        # In place: a wrapper would put its own prefix before every name of the state dict.
        model.backbone.compile()
        model.neck.compile()
    return model


def optimizer_of(model: nn.Module, config: Config) -> torch.optim.Optimizer:
    return build_optimizer(model, **config.optimizer.model_dump())


def schedule_of(config: Config) -> StepSchedule:
    return StepSchedule(config.optimizer.lr, config.training.steps, **config.schedule.model_dump())


def training_set(config: Config, images: AnnotatedImages) -> DetectionDataset:
    """Images with augmentation, as the config asks."""
    transform = transform_of(config.data, training=True)
    images = images.with_difficult(config.data.difficult)
    return DetectionDataset(images, transform, seed=config.training.seed, strict=config.data.strict)


def training_batches(
    config: Config, dataset: DetectionDataset, device: torch.device
) -> tuple[Callable[[int], Iterator[DetectionBatch]], int]:
    """A function from a step to this rank's endless micro-batches, and how many of them make a step.

    Raises ConfigError where the batch cannot be shared out evenly.
    """
    common = {
        "batch": config.training.batch,
        "seed": config.training.seed,
        "rank": rank(),
        "world": world_size(),
        "per_device_batch": config.training.per_device_batch,
    }

    def batches_from(step: int) -> Iterator[DetectionBatch]:
        loader = training_loader(
            dataset,
            **common,
            start_step=step,
            pad_to=padding_multiple(config.model),
            workers=config.data.workers,
            pin_memory=device.type == "cuda",
        )
        return iter(loader)

    try:
        return batches_from, TrainingSampler(dataset.images.aspect_ratios(), **common).micro_batches
    except ValueError as error:
        raise ConfigError(
            f"training.batch={config.training.batch}, per_device_batch={config.training.per_device_batch}: {error}"
        ) from None


def evaluation_set(config: Config, images: AnnotatedImages) -> DetectionDataset:
    """Images as they are tested."""
    return DetectionDataset(images, transform_of(config.data, training=False), strict=config.data.strict)


def evaluation_batches(config: Config, dataset: DetectionDataset, device: torch.device) -> Iterator[DetectionBatch]:
    """This rank's share of the images, each once."""
    loader = evaluation_loader(
        dataset,
        batch=config.test.batch,
        rank=rank(),
        world=world_size(),
        pad_to=padding_multiple(config.model),
        workers=config.data.workers,
        pin_memory=device.type == "cuda",
    )
    return iter(loader)


def transform_of(data: DataConfig, *, training: bool) -> DetectionTransform:
    return DetectionTransform(
        data.augment,
        shortest_side=data.shortest_side,
        longest_side=data.longest_side,
        rounding=data.rounding,
        training=training,
    )


def anchor_shapes(model: ModelConfig) -> AnchorShapes:
    """The anchors' sides and strides, for a data set to be held against."""
    strides = {"c4": (16,), "dc5": (16,), "fpn": (4, 8, 16, 32, 64)}[model.layout]
    sizes = model.anchors.sizes or default_sizes(len(strides))
    cells = [cell_anchors(s, model.anchors.ratios, rounded=model.anchors.rounded).double().numpy() for s in sizes]
    return AnchorShapes(tuple(cell[:, 2:] - cell[:, :2] for cell in cells), strides, model.rpn.positive_iou)
