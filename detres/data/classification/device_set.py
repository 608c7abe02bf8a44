"""A set of small images of one size that lives on the device: its batches are made there by tensor operations.

I images of H×W pixels, N of a micro-batch, B of a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from detres.data.loading.samplers import Share, TrainingSampler, evaluation_indices, shuffled_batches
from detres.draws import Purpose, key, random_ranks
from detres.errors import ConfigError
from detres.structures import ClassificationBatch

# Sides up to this are small: 50,000 images of 64×64 take 0.6 GB.
LARGEST_SIDE = 64


class ReadableImages(Protocol):
    """What is asked of a set. pixels: all of it where it came decoded; else read(i) gives uint8 RGB (H, W, 3)."""

    @property
    def pixels(self) -> NDArray[np.uint8] | None: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    def __len__(self) -> int: ...
    def image_id(self, i: int) -> int | str: ...
    def read(self, i: int) -> NDArray[np.uint8]: ...


def decode_small(images: ReadableImages, largest: int | None = LARGEST_SIDE) -> NDArray[np.uint8] | None:
    """All images, (I, H, W, 3); None where they differ in size or a side is longer than `largest` (None: any length).

    Files are decoded by the processor's threads; a few of a set that does not suit are enough to tell.
    Raises DataError where one cannot be decoded.
    """
    if not len(images):
        return None
    first = images.read(0) if images.pixels is None else images.pixels[0]
    if largest is not None and max(first.shape) > largest:
        return None
    if images.pixels is not None:
        return images.pixels
    decoded = np.empty((len(images), *first.shape), np.uint8)
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(images), 1024):
            some = range(start, min(start + 1024, len(images)))
            for i, image in zip(some, pool.map(images.read, some), strict=True):
                if image.shape != first.shape:
                    return None
                decoded[i] = image
    return decoded


class DeviceSet:
    """Decoded images and their labels on a device, and batches of them.

    pixels: (I, H, W, 3) uint8 RGB. labels: (I,). image_ids: I ids.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8] | Tensor,
        labels: NDArray[np.int64] | Tensor,
        image_ids: tuple[int | str, ...],
        *,
        device: torch.device | str = "cpu",
    ) -> None:
        if not len(pixels) == len(labels) == len(image_ids):
            raise ValueError(f"{len(pixels)} images, {len(labels)} labels and {len(image_ids)} ids")
        self.device = torch.device(device)
        self.pixels, self.labels = (torch.as_tensor(values).to(self.device) for values in (pixels, labels))
        self.image_ids = image_ids

    def __len__(self) -> int:
        return len(self.pixels)

    def training_batches(
        self, share: Share, *, crop: int, padding: int = 4, flip: float = 0.5, repeats: int = 1
    ) -> Iterator[ClassificationBatch]:
        """One rank's endless micro-batches from share.start_step on: images padded with black, cropped and mirrored.

        Which images, and what is drawn for them, depends on (seed, step, position) alone, on any device; nothing
        waits for the device. Raises ConfigError where the padded images hold no such crop, and ValueError as
        TrainingSampler does, both before the first batch.
        """
        height, width = self.pixels.shape[1:3]
        if crop > min(height, width) + 2 * padding:
            raise ConfigError(
                f"data.crop={crop}: images of {width}x{height} padded by data.padding={padding} hold no such square"
            )
        sampler = TrainingSampler(
            len(self), share, lambda epoch: shuffled_batches(len(self), share.batch, share.seed, epoch, repeats)
        )
        return self._drawn(sampler, share.batch, crop, padding, flip, share.seed)

    def evaluation_batches(self, *, batch: int, rank: int = 0, world: int = 1) -> Iterator[ClassificationBatch]:
        """A rank's share of all images as they are, each once, in the set's order."""
        share = evaluation_indices(len(self), rank, world)
        for start in range(0, len(share), batch):
            part = share[start : start + batch]
            rows = slice(part.start, part.stop, part.step)
            yield ClassificationBatch(self.pixels[rows], self.labels[rows], self.image_ids[rows])

    def _drawn(
        self, sampler: TrainingSampler, batch: int, crop: int, padding: int, flip: float, seed: int
    ) -> Iterator[ClassificationBatch]:
        for step, first, indices in sampler.index_batches():
            places = slice(first, first + len(indices))
            # A full tensor is written by the device itself, so that the host need not wait for a copy.
            step_key = torch.full((), key(seed, Purpose.AUGMENTATION, step), device=self.device)
            ranks = random_ranks(step_key, 3 * batch).view(batch, 3)[places]
            on_device = _moved(indices, self.device)
            yield ClassificationBatch(
                images=crop_and_mirror(
                    self.pixels.index_select(0, on_device), ranks, crop=crop, padding=padding, flip=flip
                ),
                labels=self.labels.index_select(0, on_device),
                image_ids=tuple(self.image_ids[i] for i in indices.tolist()),
                sample_keys=random_ranks(torch.full_like(step_key, key(seed, Purpose.SAMPLING, step)), batch)[places],
                key=key(seed, Purpose.MIXING, step, first),
            )


def crop_and_mirror(images: Tensor, ranks: Tensor, *, crop: int, padding: int, flip: float) -> Tensor:
    """A square cut from each image, padded with black, and perhaps its mirror.

    images: (N, H, W, 3) uint8. ranks: (N, 3) int64 in 0..2^32-1, from which top, left and mirror are drawn.
    Returns (N, crop, crop, 3) uint8.
    """
    n, height, width, _ = images.shape
    padded = F.pad(images, (0, 0, padding, padding, padding, padding))
    # Half the memory of int64, which the list of places is mostly made of.
    top, left = (
        ((ranks[:, i] * (extent + 2 * padding - crop + 1)) >> 32).int() for i, extent in enumerate((height, width))
    )
    mirrored = ranks[:, 2] < int(flip * 2**32)
    steps, image = (torch.arange(length, device=images.device, dtype=torch.int32) for length in (crop, n))
    columns = left[:, None] + torch.where(mirrored[:, None], crop - 1 - steps, steps)
    lines = image[:, None] * padded.shape[1] + top[:, None] + steps
    # Of what torch offers, whole pixels by one list of places is the fastest on CPUs: a quarter of padded[...].
    pixels = lines[:, :, None] * padded.shape[2] + columns[:, None, :]
    return padded.view(-1, 3).index_select(0, pixels.view(-1)).view(n, crop, crop, 3)


def _moved(indices: NDArray[np.int64], device: torch.device) -> Tensor:
    there = torch.from_numpy(indices)
    return there.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else there
