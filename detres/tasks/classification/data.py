"""A classification config's training data: batches made on the device where the set fits there, else by workers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import torch

from detres.config.classification_schema import ClassificationConfig, ClassificationDataConfig
from detres.data.classification.classified import ClassifiedImages
from detres.data.classification.crops import AreaCropping, Cropping, PadCropping, ScaleCropping
from detres.data.classification.device_set import LARGEST_SIDE, DeviceSet, decode_small
from detres.data.classification.loaders import ClassificationDataset, classification_training_loader
from detres.data.classification.shard_stream import ShardDataset, ShardedImages, shard_training_loader
from detres.data.classification.transforms import ClassificationTransform
from detres.data.loading.samplers import Share
from detres.errors import ConfigError, DataError
from detres.structures import ClassificationBatch
from detres.tasks.runs.sharing import training_share

FromStep = Callable[[int], Iterator[ClassificationBatch]]


@dataclass(frozen=True)
class TrainingBatches:
    """from_step: this rank's endless micro-batches from the first of a step on. accumulate: how many make a step.
    warnings: images that could not be decoded so far.
    """

    from_step: FromStep
    accumulate: int
    warnings: Callable[[], list[str]] = list


def training_batches(
    config: ClassificationConfig, images: ClassifiedImages | ShardedImages, device: torch.device
) -> TrainingBatches:
    """Raises ConfigError where the batch cannot be shared out evenly, or the set cannot live on the device as asked."""
    data = config.data
    check_in_memory(data, images)
    share, accumulate = training_share(config)
    on_device = None if isinstance(images, ShardedImages) else device_set(data, images, device)
    if on_device is not None:
        drawn = partial(
            on_device.training_batches, crop=data.crop, padding=data.padding, flip=data.flip, repeats=data.repeats
        )
        return TrainingBatches(lambda step: drawn(replace(share, start_step=step)), accumulate)
    loading = {"repeats": data.repeats, "workers": data.workers, "pin_memory": device.type == "cuda"}
    if isinstance(images, ShardedImages):
        return _streamed(data, images, accumulate, share, loading)
    return _read(data, images, accumulate, share, loading)


def _read(
    data: ClassificationDataConfig, images: ClassifiedImages, accumulate: int, share: Share, loading: dict[str, Any]
) -> TrainingBatches:
    """Read in any order by workers."""
    dataset = ClassificationDataset(images, transform_of(data), seed=share.seed, strict=bool(data.strict))

    def from_step(step: int) -> Iterator[ClassificationBatch]:
        return iter(classification_training_loader(dataset, replace(share, start_step=step), **loading))

    return TrainingBatches(from_step, accumulate, lambda: [str(problem) for problem in dataset.undecodable()])


def _streamed(
    data: ClassificationDataConfig, images: ShardedImages, accumulate: int, share: Share, loading: dict[str, Any]
) -> TrainingBatches:
    """Read from their beginnings on by workers, shard after shard."""
    transform = transform_of(data)
    begun: list[ShardDataset] = []

    def from_step(step: int) -> Iterator[ClassificationBatch]:
        now = replace(share, start_step=step)
        loader = shard_training_loader(images, transform, now, **loading, strict=bool(data.strict))
        begun.append(cast(ShardDataset, loader.dataset))
        return iter(loader)

    def warnings() -> list[str]:
        return list(dict.fromkeys(str(problem) for dataset in begun for problem in dataset.undecodable()))

    return TrainingBatches(from_step, accumulate, warnings)


def check_in_memory(data: ClassificationDataConfig, images: ClassifiedImages | ShardedImages | None) -> None:
    """Raise ConfigError where data.in_memory asks for what is not made on the device; None: the set is not here."""
    if not data.in_memory:
        return
    if isinstance(images, ShardedImages):
        raise ConfigError("data.in_memory=true: a webdataset is streamed; leave it out")
    if (obstacle := _obstacle(data)) is not None:
        raise _not_in_memory(obstacle)


def _not_in_memory(obstacle: str) -> ConfigError:
    return ConfigError(f"data.in_memory=true: {obstacle}; leave it out, and workers read the images")


def device_set(data: ClassificationDataConfig, images: ClassifiedImages, device: torch.device) -> DeviceSet | None:
    """The set, decoded and on the device; None where it is to be read by workers.

    Raises ConfigError where data.in_memory asks for what cannot be done there, DataError for a bad image.
    """
    if data.in_memory is False:
        return None
    obstacle = _obstacle(data)
    if obstacle is None:
        try:
            pixels = decode_small(images, None if data.in_memory else LARGEST_SIDE)
        except DataError:
            if data.in_memory or data.strict:
                raise
            return None  # The workers leave a bad image out, and name it.
        if pixels is not None:
            ids = tuple(images.image_id(i) for i in range(len(images)))
            return DeviceSet(pixels, images.labels, ids, device=device)
        obstacle = f"the images of {images.name} differ in size"
    if data.in_memory:
        raise _not_in_memory(obstacle)
    return None


def _obstacle(data: ClassificationDataConfig) -> str | None:
    """What of the augmentation is not made on the device."""
    if data.cropping != "pad":
        return f"data.cropping={data.cropping} is made by workers, on the device there is pad"
    return None if data.randaugment is None else "data.randaugment is made by workers"


def transform_of(data: ClassificationDataConfig) -> ClassificationTransform:
    return ClassificationTransform(
        cropping_of(data),
        flip=data.flip,
        randaugment=data.randaugment,
        exif=data.exif,
        max_pixels=data.max_pixels,
    )


def cropping_of(data: ClassificationDataConfig) -> Cropping:
    match data.cropping:
        case "scale":
            return ScaleCropping(data.crop, data.shortest_side)
        case "area":
            return AreaCropping(data.crop, data.area, data.ratio)
        case "pad":
            return PadCropping(data.crop, data.padding)
