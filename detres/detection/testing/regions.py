"""What one detector, or several together, says of regions of one image: boxes in pixels of its file, whatever the size
of the copy they are read from.

P regions, K classes, S scales, M members of an ensemble, C channels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from detres.boxes import clip_boxes
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.region_sources import PyramidReader
from detres.detection.testing.multiscale import read_suitable_scales, suitable_scales
from detres.structures import DetectionBatch

# Regions pooled at once: their features are all that grows with the number of regions.
_AT_ONCE = 256


class RegionReader(Protocol):
    """size: (2,) height and width of the image file. min_size: (2,) width and height a detection has at least."""

    size: Tensor
    min_size: Tensor

    def proposals(self) -> Tensor:
        """(P, 4) boxes within the image, best first."""
        ...

    def read(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """(P, 4) -> the box of each region for each class, (P, K, 4) and not clipped, and its score, (P, K)."""
        ...


@dataclass(frozen=True)
class Frame:
    """From pixels of an image's file to those of a copy, and back.

    scale: (2,) pixels of the copy for one of the file, in x and y. width: of the file. mirrored: left to right.
    """

    scale: Tensor
    width: Tensor
    mirrored: bool

    @classmethod
    def of(cls, copy: DetectionBatch, mirrored: bool, dtype: torch.dtype) -> Frame:
        """copy: a batch of one image."""
        original = copy.original_sizes[0].to(dtype)
        return cls((copy.sizes[0].to(dtype) / original).flip(0), original[1], mirrored)

    def to_copy(self, boxes: Tensor) -> Tensor:
        """(..., 4)."""
        return self._turned(boxes) * self.scale.repeat(2)

    def to_file(self, boxes: Tensor) -> Tensor:
        """(..., 4)."""
        return self._turned(boxes / self.scale.repeat(2))

    def _turned(self, boxes: Tensor) -> Tensor:
        if not self.mirrored:
            return boxes
        x1, y1, x2, y2 = boxes.unbind(-1)
        return torch.stack([self.width - x2, y1, self.width - x1, y2], dim=-1)


@dataclass(frozen=True)
class ImageCopies:
    """Copies of one image as the source of its regions, which are in pixels of its file.

    size: (2,) height and width of the file. frames: of each copy, by its place. pyramids: of those that regions are
    read from. scales: their places, sizes ascending; with several, each region is read from the two that suit its size.
    base: the place of the copy in whose pixels deltas become boxes.
    """

    size: Tensor
    frames: Mapping[int, Frame]
    pyramids: Mapping[int, Sequence[Tensor]]
    scales: Sequence[int]
    base: int

    @property
    def sizes(self) -> Tensor:
        return self.size[None]

    def features(self, read: PyramidReader, regions: Sequence[Tensor]) -> Tensor:
        (of_image,) = regions
        if len(self.scales) == 1:
            return self._features_at(self.scales[0], read, of_image)
        scales = torch.stack([self.frames[place].scale.prod().sqrt() for place in self.scales])
        return read_suitable_scales(
            [partial(self._features_at, place, read) for place in self.scales],
            of_image,
            suitable_scales(of_image, scales),
        )

    def to_model_pixels(self, boxes: Tensor) -> Tensor:
        return self.frames[self.base].to_copy(boxes)

    def from_model_pixels(self, boxes: Tensor) -> Tensor:
        return self.frames[self.base].to_file(boxes)

    def _features_at(self, place: int, read: PyramidReader, regions: Tensor) -> Tensor:
        pyramid, frame = self.pyramids[place], self.frames[place]
        return torch.cat([read(pyramid, [frame.to_copy(part)]) for part in regions.split(_AT_ONCE)])


class ImageReader:
    """One detector on copies of one image: each copy's feature pyramid is computed once.

    copies: batches of one image. mirrored: whether each of them is. scales: the places of those that regions are read
    from, as ImageCopies has them. base: the place of the one whose proposals are taken, and in whose pixels boxes are
    decoded.
    """

    def __init__(
        self,
        model: FasterRCNN,
        copies: Sequence[DetectionBatch],
        mirrored: Sequence[bool],
        *,
        scales: Sequence[int],
        base: int,
    ) -> None:
        dtype = model.rpn.objectness.weight.dtype
        dtype = dtype if dtype == torch.float64 else torch.float32
        frames = {p: Frame.of(copies[p], mirrored[p], dtype) for p in (*scales, base)}
        self.size = copies[base].original_sizes[0]
        self.min_size = model.roi.min_size / frames[base].scale
        pyramids: dict[int, list[Tensor]] = {}
        pyramid, (found,) = model.propose(copies[base].images, copies[base].sizes)
        if base in scales:
            pyramids[base] = pyramid
        del pyramid
        for place in scales:
            if place != base:
                pyramids[place] = model.pyramid(copies[place].images, copies[place].sizes)
        self._roi, self._copies = model.roi, ImageCopies(self.size, frames, pyramids, tuple(scales), base)
        self._proposals = clip_boxes(frames[base].to_file(found.to(dtype)), self.size)

    def proposals(self) -> Tensor:
        return self._proposals

    def read(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        return self._roi.look(self._copies, [regions])


class Ensemble:
    """Several detectors on one image as one: the union of their proposals, each read by all of them.

    Scores and boxes are averaged. Source: He et al. 2015, appendix B ("Ensemble").
    """

    def __init__(self, members: Sequence[RegionReader]) -> None:
        self._members = tuple(members)
        self.size, self.min_size = members[0].size, members[0].min_size

    def proposals(self) -> Tensor:
        return torch.cat([member.proposals() for member in self._members])

    def read(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        boxes, scores = zip(*(member.read(regions) for member in self._members), strict=True)
        return torch.stack(boxes).mean(dim=0), torch.stack(scores).mean(dim=0)
