"""From a config to the parts of an experiment. Every part is a pure function of the config, the data and the seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import nn

from detres.backbones import build_backbone
from detres.config.schema import Config, DataConfig, ModelConfig
from detres.data.annotations import AnnotatedImages
from detres.data.checking import AnchorShapes
from detres.data.loaders import DetectionDataset, evaluation_loader, training_loader
from detres.data.samplers import TrainingSampler
from detres.data.transforms import DetectionTransform
from detres.detection.anchors import cell_anchors, default_sizes
from detres.detection.building import assemble, padding_multiple
from detres.detection.faster_rcnn import FasterRCNN
from detres.detection.layouts import OUTPUT_STRIDES, OUTPUTS
from detres.distributed import rank, world_size
from detres.draws import Purpose, key
from detres.errors import ConfigError
from detres.structures import DetectionBatch
from detres.training.optimizers import build_optimizer
from detres.training.schedules import StepSchedule


def build_detector(config: Config, class_names: Sequence[str] | None = None) -> FasterRCNN:
    """The config's detector, its backbone's weights loaded, the rest drawn from training.seed.

    class_names: the data set's; None: those of model.class_names.
    model.backbone.load_report says what was loaded.
    """
    names = _agreed_names(config.model, class_names)
    section = config.model.backbone
    options = section.model_dump(exclude={"name", "weights"}, exclude_defaults=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(key(config.training.seed, Purpose.INITIALIZATION))
        backbone = build_backbone(
            section.name,
            weights=section.weights,
            outputs=OUTPUTS[config.model.layout],
            **_unless(OUTPUT_STRIDES[config.model.layout] == 32, output_stride=OUTPUT_STRIDES[config.model.layout]),
            **options,
        )
        return assemble(backbone, config.model.model_copy(update={"class_names": names}), config.test)


def _unless(usual: bool, **options: int) -> dict[str, int]:
    """Options that foreign backbones (timm's) do not take are only passed where they are asked for."""
    return {} if usual else options


def _agreed_names(model: ModelConfig, class_names: Sequence[str] | None) -> tuple[str, ...]:
    stated = model.class_names
    if class_names is None and stated is None:
        raise ConfigError("model.class_names is not set and no data set names the classes; set one of the two")
    if class_names is not None and stated is not None and tuple(class_names) != stated:
        raise ConfigError(
            f"model.class_names are {', '.join(stated)}, but the data's classes are {', '.join(class_names)}; "
            "leave model.class_names out, or select and order the data's with data.classes"
        )
    return tuple(class_names if class_names is not None else stated or ())


def prepare_for(model: FasterRCNN, config: Config, device: torch.device) -> FasterRCNN:
    """The model on its device, in the layout and compiled form the config asks for; its names do not change."""
    layout = torch.channels_last if config.training.channels_last else torch.contiguous_format
    model = model.to(device=device, memory_format=layout)
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
    transform = _transform(config.data, training=True)
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


def evaluation_batches(config: Config, images: AnnotatedImages, device: torch.device) -> Iterator[DetectionBatch]:
    """This rank's share of the images, each once, as they are tested."""
    dataset = DetectionDataset(images, _transform(config.data, training=False), strict=config.data.strict)
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


def _transform(data: DataConfig, *, training: bool) -> DetectionTransform:
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
