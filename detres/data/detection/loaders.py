"""Batches for training and evaluation, the same whatever the number of worker processes and, in sum, of ranks.

N images of a micro-batch, H, W the padded height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.transforms import DetectionTransform
from detres.data.images.sizes import resize_image, resized_size
from detres.data.loading.batch_memory import shared_zeros
from detres.data.loading.loader import GREY, ImageLoader, empty_images
from detres.data.loading.samplers import Place, Share, TrainingSampler, batches_of_one_shape, grouped_batches
from detres.data.problems import Problem
from detres.draws import Purpose, key
from detres.errors import DataError
from detres.structures import DetectionBatch, DetectionTarget


@dataclass(frozen=True)
class DetectionSample:
    """One image, ready for a batch. original_size: (height, width) of the file as read.

    size: (height, width) the image gets in the batch, in whose pixels the target is; None: the one it has.
    """

    image: NDArray[np.uint8]
    original_size: tuple[int, int]
    image_id: int | str
    target: DetectionTarget
    sample_key: int
    size: tuple[int, int] | None = None

    @property
    def size_in_batch(self) -> tuple[int, int]:
        return self.size or (self.image.shape[0], self.image.shape[1])


class DetectionDataset(Dataset[DetectionSample]):
    """Reads and transforms the image of a Place.

    What is drawn for an image depends on (seed, step, position) alone. An image whose header was sound but which
    cannot be decoded does not end a run: a grey image of its size without objects stands in for it, and one that breaks
    off is filled up. Their indices are marked in memory that workers share; undecodable() and filled() list those. With
    strict the one is a DataError, with `whole` the other.
    """

    def __init__(
        self,
        images: AnnotatedImages,
        transform: DetectionTransform,
        *,
        seed: int = 0,
        strict: bool = False,
        whole: bool = False,
    ) -> None:
        self.images, self.transform, self.seed, self.strict, self.whole = images, transform, seed, strict, whole
        self._undecodable, self._filled = shared_zeros(2, len(images), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: Place) -> DetectionSample:
        index, step, position = place
        rgb, target = self._read(index)
        draw_key = key(self.seed, Purpose.AUGMENTATION, step, position)
        try:
            image, size, target = self.transform.before_resize(rgb, target, draw_key)
        except DataError as error:
            raise DataError(f"{self.images.path(index)}: {error}") from error
        return DetectionSample(
            image=image,
            original_size=(rgb.shape[0], rgb.shape[1]),
            image_id=self.images.image_id(index),
            target=target,
            sample_key=key(self.seed, Purpose.SAMPLING, step, position),
            size=size,
        )

    def undecodable(self) -> list[Problem]:
        """The images found so far, by any worker, that could not be decoded."""
        detail = "cannot be decoded; a grey image stands in for it"
        return self._problems(self.undecodable_places(), detail)

    def undecodable_places(self) -> list[int]:
        """Their places in the set."""
        return self._undecodable.nonzero().flatten().tolist()

    def filled(self) -> list[Problem]:
        """The images found so far, by any worker, that break off and were filled up."""
        return self.breaking_off(self.filled_places())

    def filled_places(self) -> list[int]:
        """Their places in the set."""
        return self._filled.nonzero().flatten().tolist()

    def breaking_off(self, places: Sequence[int]) -> list[Problem]:
        """What is wrong with images that had to be filled up."""
        return self.images.breaking_off(places)

    def left_out(self, places: Sequence[int]) -> list[Problem]:
        """What is wrong with images of which nothing counts because they cannot be decoded."""
        return self._problems(places, "cannot be decoded; it counts in no evaluation")

    def _problems(self, places: Sequence[int], detail: str) -> list[Problem]:
        names = map(self.images.file_name, places)
        return [Problem("image unreadable", name, detail, costs_image=True) for name in names]

    def _read(self, index: int) -> tuple[NDArray[np.uint8], DetectionTarget]:
        try:
            rgb, filled = self.images.pixels_and_filling(index)
        except DataError as error:
            if self.strict:
                raise DataError(f"{error}; or leave such images out with data.strict=false") from None
            self._undecodable[index] = True
            return np.full((*self.images.size(index), 3), GREY, dtype=np.uint8), DetectionTarget.empty()
        if filled and self.whole:
            raise DataError(f"{self.images.path(index)}: its file ends before its last pixels; fetch it again")
        if filled:
            self._filled[index] = True
        return rgb, self.images.target(index)


def collate(samples: Sequence[DetectionSample], pad_to: int = 1) -> DetectionBatch:
    """Images resized, and padded with zeros at the right and the bottom to one size, a multiple of pad_to."""
    sizes = torch.tensor([sample.size_in_batch for sample in samples], dtype=torch.int64)
    height, width = (-(-int(side) // pad_to) * pad_to for side in sizes.amax(dim=0))
    images = empty_images(len(samples), height, width)
    for row, sample in zip(images.numpy(), samples, strict=True):
        h, w = sample.size_in_batch
        resize_image(sample.image, (h, w), out=row[:h, :w])
        row[h:] = 0
        row[:h, w:] = 0
    return DetectionBatch(
        images=images,
        sizes=sizes,
        original_sizes=torch.tensor([sample.original_size for sample in samples], dtype=torch.int64),
        image_ids=tuple(sample.image_id for sample in samples),
        targets=tuple(sample.target for sample in samples),
        sample_keys=torch.tensor([sample.sample_key for sample in samples], dtype=torch.int64),
    )


class PadAndCollate:
    """collate with its padding: an object, because workers that are started afresh must be sent it."""

    def __init__(self, pad_to: int) -> None:
        self.pad_to = pad_to

    def __call__(self, samples: Sequence[DetectionSample]) -> DetectionBatch:
        return collate(samples, self.pad_to)


def training_loader(
    dataset: DetectionDataset,
    share: Share,
    *,
    pad_to: int = 1,
    workers: int | None = 0,
    pin_memory: bool = False,
) -> DataLoader[DetectionBatch]:
    """An endless loader of one rank's micro-batches, in the order TrainingSampler states, from share.start_step on."""
    ratios = dataset.images.aspect_ratios()
    sampler = TrainingSampler(
        len(ratios),
        share,
        lambda epoch: grouped_batches(ratios, share.batch, share.seed, epoch),
    )
    return _loader(dataset, sampler, pad_to, workers, pin_memory)


def evaluation_loader(
    dataset: DetectionDataset,
    share: Share,
    *,
    pad_to: int = 1,
    workers: int | None = 0,
    pin_memory: bool = False,
) -> DataLoader[DetectionBatch]:
    """A rank's share of all images, each once, in batches that need no more padding than each image by itself."""
    batches = batches_of_one_shape(padded_shapes(dataset, pad_to), share.batch)[share.rank :: share.world]
    places = [[Place(index, 0, index) for index in indices] for indices in batches]
    return _loader(dataset, places, pad_to, workers, pin_memory)


def padded_shapes(dataset: DetectionDataset, pad_to: int = 1) -> NDArray[np.int64]:
    """(I, 2) height and width of each image as it is tested: resized, and padded to a multiple of pad_to."""
    transform = dataset.transform
    resized = [
        resized_size((height, width), transform.shortest_side[-1], transform.longest_side, transform.rounding)
        for height, width in dataset.images.sizes.tolist()
    ]
    return -(-np.array(resized, np.int64).reshape(-1, 2) // pad_to) * pad_to


def _loader(
    dataset: DetectionDataset,
    batches: TrainingSampler | list[list[Place]],
    pad_to: int,
    workers: int | None,
    pin_memory: bool,
) -> DataLoader[DetectionBatch]:
    return ImageLoader(
        dataset, workers=workers, pin_memory=pin_memory, batch_sampler=batches, collate_fn=PadAndCollate(pad_to)
    )
