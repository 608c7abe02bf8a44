"""Where a RoI head reads regions: the maps of a batch, or several copies of one image (detection/testing/regions.py).

A source tells nothing of what the head makes of a region, and a head nothing of where it reads: so what a head adds is
in every test, in exports and in training at once.
N images, L levels, P regions of an image, R regions of all images together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

PyramidReader = Callable[[Sequence[Tensor], Sequence[Tensor]], Tensor]
"""A pyramid, L tensors (N, C, H, W), and N tensors of regions (P, 4) in pixels of its images -> (R, ...)."""


class RegionSource(Protocol):
    """sizes: (N, 2) height and width of the images without padding, in the pixels that regions are in."""

    @property
    def sizes(self) -> Tensor: ...

    def features(self, read: PyramidReader, regions: Sequence[Tensor]) -> Tensor:
        """What `read` makes of the regions, N tensors (P, 4), image by image: (R, ...).

        Where a region is read from several pyramids, what it makes of them is merged.
        """
        ...

    def to_model_pixels(self, boxes: Tensor) -> Tensor:
        """(..., 4) in pixels of the images as the model sees them, in which deltas become boxes."""
        ...

    def from_model_pixels(self, boxes: Tensor) -> Tensor:
        """(..., 4), the way back."""
        ...


@dataclass(frozen=True)
class BatchPyramid:
    """The maps of a batch as the source of its regions, which are in pixels of the batch.

    pyramid: L tensors (N, C, H, W). sizes: (N, 2).
    """

    pyramid: Sequence[Tensor]
    sizes: Tensor

    def features(self, read: PyramidReader, regions: Sequence[Tensor]) -> Tensor:
        return read(self.pyramid, regions)

    def to_model_pixels(self, boxes: Tensor) -> Tensor:
        return boxes

    def from_model_pixels(self, boxes: Tensor) -> Tensor:
        return boxes
