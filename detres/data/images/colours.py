"""Colours changed on the device, image by image: AlexNet's lighting along the principal components of ImageNet's RGB.

N images of H×W pixels, on the 0..255 scale.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detres.draws import random_normals

# Of the RGB values of ImageNet's training images on the 0..1 scale, as published with fb.resnet.torch, which timm and
# torchvision's early recipes share. One component a column, its red, green and blue in the rows.
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = (
    (-0.5675, 0.7192, 0.4009),
    (-0.5808, -0.0045, -0.8140),
    (-0.5836, -0.6948, 0.4203),
)


def add_lighting(rgb: Tensor, sample_keys: Tensor, std: float) -> Tensor:
    """Add to every pixel of an image one colour: the components times their eigenvalues times draws from N(0, std).

    rgb: (N, H, W, 3) uint8, or float on the same scale. sample_keys: (N,) int64 on the same device; the draws depend
    on them alone. std: 0.1 in the paper. Returns float32, not cut off at 0 and 255: it is to be normalized next.
    Source: Krizhevsky et al. 2012, section 4.1.
    """
    colours = lighting_colours(sample_keys, std)
    n, height, width, _ = rgb.shape
    # One long row a line of pixels: a loop over rows of three channels would run several times slower.
    rows = rgb.reshape(n, height, width * 3) + colours.repeat(1, width)[:, None]
    return rows.view(n, height, width, 3)


def lighting_colours(sample_keys: Tensor, std: float) -> Tensor:
    """What add_lighting adds: (N, 3) float32, RGB on the 0..255 scale."""
    draws = random_normals(sample_keys, 3) * (255.0 * std)
    components = torch.tensor(EIGENVECTORS) * torch.tensor(EIGENVALUES)
    return draws @ components.to(draws.device, non_blocking=True).T
