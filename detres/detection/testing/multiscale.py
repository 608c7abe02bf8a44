"""Regions read from the two sizes of an image that suit them, and merged by maxout.

P regions, S scales, C channels.
Source: He et al. 2015, appendix B ("Multi-scale testing"); Ren et al. 2015, "Object detection networks on convolutional
feature maps", section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from detres.boxes import box_area

CANONICAL_SIZE = 224.0
"""Pixels: the size of the images that the trunk was trained on."""


def suitable_scales(regions: Tensor, scales: Tensor) -> Tensor:
    """The two adjacent scales between which a region is as large as the trunk's own images.

    regions: (P, 4) in pixels of the file. scales: (S,) ascending, S >= 2: pixels of each copy for one of the file.
    Returns (P,) int64, the lower of the two; the other one is the next. A region that is too large or too small in all
    of them takes the two at that end. A region is as large as the square root of its area.
    """
    sides = box_area(regions).sqrt()[:, None] * scales
    below = (sides <= CANONICAL_SIZE).sum(dim=1) - 1
    return below.clamp(0, len(scales) - 2)


def read_suitable_scales(features_at: Sequence[Callable[[Tensor], Tensor]], regions: Tensor, lower: Tensor) -> Tensor:
    """The element-wise maximum of each region's features at two scales.

    features_at: for each scale a function (P', 4) -> (P', ...). regions: (P, 4). lower: (P,), see suitable_scales.
    Returns (P, ...), such as (P, C).
    """
    merged: Tensor | None = None
    for scale, features_of in enumerate(features_at):
        index = ((lower == scale) | (lower == scale - 1)).nonzero().squeeze(1)
        features = features_of(regions[index])
        if merged is None:
            merged = features.new_full((regions.shape[0], *features.shape[1:]), -torch.inf)
        merged[index] = torch.maximum(merged[index], features)
    assert merged is not None, "there is a scale"
    return merged
