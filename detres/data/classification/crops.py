"""Where a training crop is cut, drawn from the image's size alone, and the cutting.

A box is (top, left, height, width) in pixels of the whole image as read, before any reduction. Where only a crop is
needed of a resized image, resizing the box that becomes the crop is the same and less work.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from detres.errors import ConfigError

# How many times as large as the crop a JPEG must be decoded. At 1 the high frequencies that were left out are missed
# just where the filter of the resize would have kept some: 4 grey levels RMS on photographs, at 1.5 below 2.
DECODED_SHARE = 1.5


class Box(NamedTuple):
    """A rectangle of an image; outside of the image lies black."""

    top: int
    left: int
    height: float
    width: float


class Cropping(Protocol):
    """How boxes are drawn. side: of the square that each becomes, in pixels."""

    @property
    def side(self) -> int: ...

    def draw(self, size: tuple[int, int], random: Random) -> Box:
        """A box of an image of this (height, width)."""
        ...


@dataclass(frozen=True)
class ScaleCropping:
    """The shorter side is resized to a length drawn from shortest_side, both ends included; then a square is cut.

    Raises ConfigError where the square may be larger than the image.
    Source: Simonyan and Zisserman 2015; He et al. 2015.
    """

    side: int
    shortest_side: tuple[int, int]

    def __post_init__(self) -> None:
        low, high = self.shortest_side
        if not self.side <= low <= high:
            raise ConfigError(
                f"data.shortest_side={low}, {high}: a crop of data.crop={self.side} pixels needs shorter sides from "
                f"{self.side} on, in ascending order"
            )

    def draw(self, size: tuple[int, int], random: Random) -> Box:
        length = self.side * min(size) / random.randint(*self.shortest_side)
        top, left = (random.randint(0, max(math.floor(extent - length), 0)) for extent in size)
        return Box(top, left, length, length)


@dataclass(frozen=True)
class AreaCropping:
    """A share of the area and a ratio of the sides (logarithmically) are drawn, until such a box fits into the image.

    After ten tries the largest box in the middle whose ratio is allowed is taken.
    Raises ConfigError where a range ends below its beginning.
    Source: Szegedy et al. 2015, with the rules of torchvision's RandomResizedCrop.
    """

    side: int
    area: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        for name, (low, high) in (("area", self.area), ("ratio", self.ratio)):
            if low > high:
                raise ConfigError(f"data.{name}={low}, {high}: the smaller one stands first")

    def draw(self, size: tuple[int, int], random: Random) -> Box:
        height, width = size
        log_ratio = [math.log(ratio) for ratio in self.ratio]
        for _ in range(10):
            area = height * width * random.uniform(*self.area)
            ratio = math.exp(random.uniform(*log_ratio))
            w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if 0 < w <= width and 0 < h <= height:
                return Box(random.randint(0, height - h), random.randint(0, width - w), h, w)
        ratio = min(max(width / height, min(self.ratio)), max(self.ratio))
        h, w = min(height, round(width / ratio)), min(width, round(height * ratio))
        return Box((height - h) // 2, (width - w) // 2, h, w)


@dataclass(frozen=True)
class PadCropping:
    """A square is cut from the image as it is, which black of `padding` pixels surrounds.

    Raises ConfigError, in drawing, where the padded image is smaller than the square. Source: Lee et al. 2015.
    """

    side: int
    padding: int

    def draw(self, size: tuple[int, int], random: Random) -> Box:
        spare = [extent + 2 * self.padding - self.side for extent in size]
        if min(spare) < 0:
            raise ConfigError(
                f"data.crop={self.side}: an image of {size[1]}x{size[0]} padded by data.padding={self.padding} "
                f"holds no such square; set another crop or padding, or data.cropping=area"
            )
        top, left = (random.randint(0, extent) - self.padding for extent in spare)
        return Box(top, left, self.side, self.side)


def least_size(size: tuple[int, int], box: Box, side: int) -> tuple[float, float]:
    """(height, width) at which an image of `size` must at least be decoded for the box to be cut from it."""
    return size[0] * side * DECODED_SHARE / box.height, size[1] * side * DECODED_SHARE / box.width


def cut(rgb: NDArray[np.uint8], box: Box, side: int, denominator: int = 1) -> NDArray[np.uint8]:
    """The box as a square: uint8 RGB (side, side, 3), perhaps a view of rgb.

    rgb: (H, W, 3), the image with its sides divided by `denominator`; the box then begins at a whole one of its pixels.
    Bilinear with as wide a filter as the box shrinks, as Pillow computes it, so that nothing aliases.
    """
    if denominator == 1 and (box.height, box.width) == (side, side):
        return _cut_as_it_is(rgb, box, side)
    top, left = box.top // denominator, box.left // denominator
    bottom, right = math.ceil(top + box.height / denominator), math.ceil(left + box.width / denominator)
    region = np.ascontiguousarray(rgb[top:bottom, left:right])
    # The sides of the box need not be whole: its scale is what counts, and what lies beyond it is left out below.
    # Rounding must not cost the last row, which torch counts as floor(height * scale).
    scales = [side * denominator / length * (1 + 1e-9) for length in (box.height, box.width)]
    # The batch of one comes first: only so does torch take the memory for channels_last, which is twice as fast.
    planes = torch.from_numpy(region)[None].permute(0, 3, 1, 2)
    resized = F.interpolate(
        planes, scale_factor=scales, mode="bilinear", antialias=True, align_corners=False, recompute_scale_factor=False
    )
    return resized[0].permute(1, 2, 0).numpy()[:side, :side]


def _cut_as_it_is(rgb: NDArray[np.uint8], box: Box, side: int) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    top, left = box.top, box.left
    beyond = max(-top, -left, top + side - height, left + side - width, 0)
    if beyond:
        rgb = np.pad(rgb, ((beyond, beyond), (beyond, beyond), (0, 0)))
    return rgb[top + beyond : top + beyond + side, left + beyond : left + beyond + side]
