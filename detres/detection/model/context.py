"""Global context: what a region is depends on the picture it lies in.

N images, P regions of an image, R regions of all images together, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

RegionFeatures = Callable[[Sequence[Tensor]], Tensor]


def with_context(features_of: RegionFeatures, regions: Sequence[Tensor], sizes: Tensor) -> Tensor:
    """The features of each region, and behind them those of its whole image, pooled as one region more.

    features_of: N tensors of boxes (P, 4) -> (their sum, C), image by image. regions: N tensors (P, 4).
    sizes: (N, 2) height and width of the images, in the pixels of the regions; padding is no part of them.
    Returns (R, 2C).
    Source: He et al. 2015, appendix B: the region of the whole image goes through the same layers, and the two are
    concatenated before the sibling layers.
    """
    whole = _whole_images(sizes).to(regions[0].dtype)
    joined = features_of([torch.cat([boxes, image[None]]) for boxes, image in zip(regions, whole, strict=True)])
    # Behind each image's regions comes the image itself.
    of_image = joined.split([boxes.shape[0] + 1 for boxes in regions])
    return torch.cat([torch.cat([f[:-1], f[-1:].expand(f.shape[0] - 1, -1)], dim=1) for f in of_image])


def _whole_images(sizes: Tensor) -> Tensor:
    """(N, 2) height and width -> (N, 4) boxes of everything."""
    height, width = sizes.unbind(1)
    return torch.stack([torch.zeros_like(width), torch.zeros_like(height), width, height], dim=1)
