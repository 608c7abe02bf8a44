"""Normalization of pixels, on the device: the only place where statistics meet images.

N images of H×W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from detres.structures import PixelStats

CIFAR10_STATS = PixelStats(mean=(125.307, 122.961, 113.858), std=(62.993, 62.089, 66.705))
"""Over the 50,000 training images."""

MSRA_STATS = PixelStats(mean=(103.06, 115.90, 123.15), std=(1.0, 1.0, 1.0), order="bgr")
VGG_FEATURES_STATS = PixelStats(mean=(122.99925, 116.9991, 103.9992), std=(1.0, 1.0, 1.0))
"""Of VGG-16's first weights, which torchvision publishes as IMAGENET1K_FEATURES: means alone, in RGB by now."""


def stats_of_shares(mean: Sequence[float], std: Sequence[float]) -> PixelStats:
    """Statistics of R, G and B that somebody states for pixels of 0..1, as timm does."""
    r, g, b = (round(255.0 * value, 6) for value in mean)
    std_r, std_g, std_b = (round(255.0 * value, 6) for value in std)
    return PixelStats((r, g, b), (std_r, std_g, std_b))


def normalize_pixels(rgb: Tensor, stats: PixelStats, dtype: torch.dtype) -> Tensor:
    """uint8 RGB (N, H, W, 3) -> (N, 3, H, W) of `dtype`, (value - mean) / std in the order of `stats`.

    The result is a permuted view: its memory is channels_last.
    """
    n, height, width, _ = rgb.shape
    # bf16 cannot hold 123.675, nor the difference to it.
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    mean, std = (_filled(values, exact, rgb.device) for values in (stats.mean, stats.std))
    pixels = rgb if stats.order == "rgb" else rgb.flip(-1)
    # One long row a line of pixels: a loop over rows of three channels would run several times slower.
    rows = pixels.reshape(n, height, width * 3).to(exact)
    rows = (rows - mean.repeat(width)).div_(std.repeat(width)).to(dtype)
    return rows.view(n, height, width, 3).permute(0, 3, 1, 2)


def _filled(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Of Python's numbers, without a copy that the host would wait for."""
    return torch.stack([torch.full((), value, dtype=dtype, device=device) for value in values])
