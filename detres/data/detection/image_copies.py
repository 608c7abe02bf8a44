"""Copies of one image, of several sizes and mirrored, as a test over scales and mirrors takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch.utils.data import DataLoader

from detres.data.detection.loaders import DetectionDataset, DetectionSample, collate
from detres.data.images.sizes import Rounding, resized_size
from detres.data.loading.loader import ImageLoader
from detres.data.loading.samplers import Place, Share, evaluation_indices
from detres.structures import DetectionBatch


@dataclass(frozen=True)
class ImageCopy:
    """How a copy is made: see sizes.resized_size; mirrored left to right; padded to multiples of pad_to."""

    shortest_side: int
    longest_side: int
    rounding: Rounding = "floor"
    mirrored: bool = False
    pad_to: int = 1


def copies_of(sample: DetectionSample, copies: Sequence[ImageCopy]) -> tuple[DetectionBatch, ...]:
    """A batch of one for each copy; their targets are left out.

    sample: as a DetectionDataset gives it without augmentation, the image not resized yet.
    """
    mirror = np.ascontiguousarray(sample.image[:, ::-1]) if any(copy.mirrored for copy in copies) else sample.image
    return tuple(
        collate(
            [
                replace(
                    sample,
                    image=mirror if copy.mirrored else sample.image,
                    size=resized_size(sample.image.shape[:2], copy.shortest_side, copy.longest_side, copy.rounding),
                )
            ],
            copy.pad_to,
        )
        for copy in copies
    )


class CollateCopies:
    """copies_of for a loader that brings one image at a time; an object, because workers must be sent it."""

    def __init__(self, copies: Sequence[ImageCopy]) -> None:
        self.copies = tuple(copies)

    def __call__(self, samples: Sequence[DetectionSample]) -> tuple[DetectionBatch, ...]:
        (sample,) = samples
        return copies_of(sample, self.copies)


def copies_loader(
    dataset: DetectionDataset,
    copies: Sequence[ImageCopy],
    share: Share,
    *,
    workers: int | None = 0,
    pin_memory: bool = False,
) -> DataLoader[tuple[DetectionBatch, ...]]:
    """A rank's share of all images, each once, in the set's order; every image is decoded once."""
    places = [[Place(index, 0, index)] for index in evaluation_indices(len(dataset), share.rank, share.world)]
    return ImageLoader(
        dataset, workers=workers, pin_memory=pin_memory, batch_sampler=places, collate_fn=CollateCopies(copies)
    )
