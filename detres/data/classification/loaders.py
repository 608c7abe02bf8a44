"""Batches to train a classifier on, read and cropped in worker processes, whose number does not change them.

N images of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from detres.data.classification.transforms import ClassificationTransform
from detres.data.loading.batch_memory import shared_zeros
from detres.data.loading.loader import ImageLoader, stacked_images
from detres.data.loading.samplers import Place, Share, TrainingSampler, shuffled_batches
from detres.data.problems import Problem
from detres.draws import Purpose, key
from detres.errors import DataError
from detres.structures import ClassificationBatch


class LabelledImages(Protocol):
    """What is asked of a set. pixels: (I, H, W, 3) uint8 RGB where it came decoded; else encoded(i) is image i's file.

    encoded raises DataError where the file cannot be read.
    """

    @property
    def pixels(self) -> NDArray[np.uint8] | None: ...
    @property
    def labels(self) -> NDArray[np.int64]: ...
    def __len__(self) -> int: ...
    def image_id(self, i: int) -> int | str: ...
    def encoded(self, i: int) -> bytes: ...


@dataclass(frozen=True)
class ClassificationSample:
    """One image, ready for a batch: uint8 RGB (side, side, 3). sample_key: as ClassificationBatch has it."""

    image: NDArray[np.uint8]
    label: int
    image_id: int | str
    sample_key: int


class ClassificationDataset(Dataset[ClassificationSample]):
    """Reads and transforms the image of a Place.

    What is drawn for an image depends on (seed, step, position) alone. An image that cannot be decoded does not end a
    run: it is left out, the set's next one stands in for it, and its index is marked in memory that workers share;
    undecodable() lists those. With strict it is a DataError, and where no image can be decoded.
    """

    def __init__(
        self, images: LabelledImages, transform: ClassificationTransform, *, seed: int = 0, strict: bool = False
    ) -> None:
        self.images, self.transform, self.seed, self.strict = images, transform, seed, strict
        self._undecodable = shared_zeros(len(images), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: Place) -> ClassificationSample:
        wanted, step, position = place
        index, crop = self._next_readable(wanted, key(self.seed, Purpose.AUGMENTATION, step, position))
        return ClassificationSample(
            image=crop,
            label=int(self.images.labels[index]),
            image_id=self.images.image_id(index),
            sample_key=key(self.seed, Purpose.SAMPLING, step, position),
        )

    def undecodable(self) -> list[Problem]:
        """The images found so far, by any worker, that could not be decoded."""
        return [
            Problem("image unreadable", str(self.images.image_id(i)), "cannot be decoded; left out", costs_image=True)
            for i in self._undecodable.nonzero().flatten().tolist()
        ]

    def _next_readable(self, wanted: int, draw_key: int) -> tuple[int, NDArray[np.uint8]]:
        """The wanted image or, where it cannot be decoded, the next that can: its index and its crop."""
        if self.images.pixels is not None:
            return wanted, self.transform.from_pixels(self.images.pixels[wanted], draw_key)
        for index in chain(range(wanted, len(self)), range(wanted)):
            try:
                image_id = str(self.images.image_id(index))
                return index, self.transform.from_bytes(self.images.encoded(index), image_id, draw_key)
            except DataError:
                if self.strict:
                    raise
                self._undecodable[index] = True
        raise DataError(f"none of the {len(self)} images to train on can be decoded; `detres check_data` lists why")


def collate(samples: Sequence[ClassificationSample]) -> ClassificationBatch:
    """Samples of one size as a batch."""
    return ClassificationBatch(
        images=stacked_images([sample.image for sample in samples]),
        labels=torch.tensor([sample.label for sample in samples], dtype=torch.int64),
        image_ids=tuple(sample.image_id for sample in samples),
        sample_keys=torch.tensor([sample.sample_key for sample in samples], dtype=torch.int64),
        # The first sample's place is the batch's.
        key=key(samples[0].sample_key, Purpose.MIXING),
    )


def classification_training_loader(
    dataset: ClassificationDataset,
    share: Share,
    *,
    repeats: int = 1,
    workers: int | None = 0,
    pin_memory: bool = False,
) -> DataLoader[ClassificationBatch]:
    """An endless loader of one rank's micro-batches, in the order TrainingSampler states, from share.start_step on.

    repeats: how many times an image stands in a batch, cropped differently each time (samplers.shuffled_batches).
    """
    count = len(dataset)
    sampler = TrainingSampler(
        count,
        share,
        lambda epoch: shuffled_batches(count, share.batch, share.seed, epoch, repeats),
    )
    return ImageLoader(dataset, workers=workers, pin_memory=pin_memory, batch_sampler=sampler, collate_fn=collate)
