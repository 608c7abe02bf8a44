"""Batches to train a localizer on: crops of images and their boxes within, the same whatever the number of workers.

A crop is drawn from the image (the RPN's lessons) or is one of its proposals (the R-CNN's). M boxes of an image, S the
side of the crop in pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import cast

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from detres.boxes import box_area, box_iou, clip_boxes, covered_share
from detres.data.classification.crops import Box, Cropping
from detres.data.classification.transforms import crop_of_bytes
from detres.data.loading.batch_memory import shared_zeros
from detres.data.loading.loader import GREY, ImageLoader, stacked_images
from detres.data.loading.samplers import Place, Share, TrainingSampler, shuffled_batches
from detres.data.localization.localized import LocalizedImages
from detres.data.problems import Problem
from detres.draws import Purpose, key
from detres.errors import DataError
from detres.structures import DetectionTarget, LocalizationBatch

CroppingOf = Callable[[int], Cropping]
"""How a crop of the image with this index is drawn."""

TargetOf = Callable[[Tensor, int, int], DetectionTarget]
"""What is learned from a crop: of (M, 4) boxes in its pixels, which may reach beyond it, its side and the label."""


@dataclass(frozen=True)
class ProposalCropping:
    """One of the proposals of an image, each as likely as another. boxes: (P, 4) xyxy pixels of the image, P >= 1."""

    side: int
    boxes: NDArray[np.float32]

    def draw(self, size: tuple[int, int], random: Random) -> Box:
        return whole_pixels(self.boxes[random.randrange(len(self.boxes))].tolist(), size)


def whole_pixels(xyxy: Sequence[float], size: tuple[int, int]) -> Box:
    """The pixels of an image of (height, width) that a box touches, one at least each way."""
    x1, y1, x2, y2 = xyxy
    top, left = (min(max(math.floor(low), 0), most - 1) for low, most in ((y1, size[0]), (x1, size[1])))
    bottom, right = (min(math.ceil(high), most) for high, most in ((y2, size[0]), (x2, size[1])))
    return Box(top, left, max(bottom - top, 1), max(right - left, 1))


def boxes_in_crop(boxes: Tensor, box: Box, side: int) -> Tensor:
    """(M, 4) boxes of the image in pixels of the square that `box` becomes; they may reach beyond it."""
    origin = torch.tensor([box.left, box.top, box.left, box.top], dtype=boxes.dtype)
    scale = torch.tensor([side / box.width, side / box.height] * 2, dtype=boxes.dtype)
    return (boxes - origin) * scale


@dataclass(frozen=True)
class VisibleObjects:
    """Of the RPN's crops: every box as far as it lies in the crop, ignored where that is less than a share of it."""

    least_share: float

    def __call__(self, boxes: Tensor, side: int, label: int) -> DetectionTarget:
        share = covered_share(boxes, torch.tensor([[0.0, 0.0, side, side]]))[:, 0]
        clipped = clip_boxes(boxes, (side, side))
        kept = box_area(clipped) > 0
        labels = torch.full((int(kept.sum()),), label, dtype=torch.int64)
        return DetectionTarget(clipped[kept], labels, share[kept] < self.least_share)


@dataclass(frozen=True)
class ObjectOfProposal:
    """Of the R-CNN's crops: the box the proposal overlaps most, in full, where by enough; else none, and a negative."""

    positive_iou: float

    def __call__(self, boxes: Tensor, side: int, label: int) -> DetectionTarget:
        # A crop's warping leaves the shares of areas as they are.
        iou, best = box_iou(boxes, torch.tensor([[0.0, 0.0, side, side]]))[:, 0].max(dim=0)
        if iou < self.positive_iou:
            return DetectionTarget.empty()
        return DetectionTarget(boxes[best][None], torch.tensor([label]), torch.zeros(1, dtype=torch.bool))


@dataclass(frozen=True)
class LocalizationSample:
    """One crop, uint8 RGB (S, S, 3), and what is to be learned from it."""

    image: NDArray[np.uint8]
    label: int
    target: DetectionTarget
    image_id: str
    sample_key: int


class LocalizationDataset(Dataset[LocalizationSample]):
    """Reads, crops and mirrors the image of a Place; what is drawn depends on (seed, step, position) alone.

    An image that cannot be decoded does not end a run: a grey one without objects stands in for it, and is listed by
    undecodable(). With strict it is a DataError.
    """

    def __init__(
        self,
        images: LocalizedImages,
        cropping_of: CroppingOf,
        target_of: TargetOf,
        *,
        flip: float = 0.5,
        seed: int = 0,
        strict: bool = False,
    ) -> None:
        self.images, self.cropping_of, self.target_of = images, cropping_of, target_of
        self.flip, self.seed, self.strict = flip, seed, strict
        self._undecodable = shared_zeros(len(images), dtype=torch.bool)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, place: Place) -> LocalizationSample:
        index, step, position = place
        image, target = self._lesson(index, key(self.seed, Purpose.AUGMENTATION, step, position))
        return LocalizationSample(
            image=image,
            label=int(self.images.labels[index]),
            target=target,
            image_id=self.images.image_id(index),
            sample_key=key(self.seed, Purpose.SAMPLING, step, position),
        )

    def undecodable(self) -> list[Problem]:
        """The images found so far, by any worker, that could not be decoded."""
        return [
            Problem("image unreadable", self.images.image_id(i), "cannot be decoded; a grey image stands in for it")
            for i in self._undecodable.nonzero().flatten().tolist()
        ]

    def _lesson(self, index: int, draw_key: int) -> tuple[NDArray[np.uint8], DetectionTarget]:
        cropping, source = self.cropping_of(index), self.images.image_id(index)
        side = cropping.side
        try:
            crop, box, draws = crop_of_bytes(
                self.images.encoded(index),
                source,
                cropping,
                draw_key,
                exif=False,
                max_pixels=self.images.images.max_pixels,
            )
        except DataError:
            if self.strict:
                raise
            self._undecodable[index] = True
            return np.full((side, side, 3), GREY, dtype=np.uint8), DetectionTarget.empty()
        boxes = boxes_in_crop(torch.from_numpy(self.images.boxes_of(index).copy()), box, side)
        if draws.random() < self.flip:
            crop = cast("NDArray[np.uint8]", cv2.flip(crop, 1))
            boxes = torch.stack([side - boxes[:, 2], boxes[:, 1], side - boxes[:, 0], boxes[:, 3]], dim=1)
        return crop, self.target_of(boxes, side, int(self.images.labels[index]))


def collate(samples: Sequence[LocalizationSample]) -> LocalizationBatch:
    """Samples of one size as a batch."""
    return LocalizationBatch(
        images=stacked_images([sample.image for sample in samples]),
        labels=torch.tensor([sample.label for sample in samples], dtype=torch.int64),
        targets=tuple(sample.target for sample in samples),
        image_ids=tuple(sample.image_id for sample in samples),
        sample_keys=torch.tensor([sample.sample_key for sample in samples], dtype=torch.int64),
    )


def localization_training_loader(
    dataset: LocalizationDataset,
    share: Share,
    *,
    workers: int | None = 0,
    pin_memory: bool = False,
) -> DataLoader[LocalizationBatch]:
    """An endless loader of one rank's micro-batches, in the order TrainingSampler states, from share.start_step on."""
    count = len(dataset)
    sampler = TrainingSampler(
        count,
        share,
        lambda epoch: shuffled_batches(count, share.batch, share.seed, epoch),
    )
    return ImageLoader(dataset, workers=workers, pin_memory=pin_memory, batch_sampler=sampler, collate_fn=collate)
