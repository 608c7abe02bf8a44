"""The mean over windows that share out a map, whatever its sides.

N images, C channels, H×W cells, B bins a side.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def averaged(cells: Tensor, bins: int) -> Tensor:
    """Average (N, C, H, W) to (N, C, B, B): windows reach from the cell that a bin begins in to the one it ends in.

    Where torch is asked for deterministic algorithms it is a product with two matrices, for the gradient of torch's own
    pooling is added in any order on GPUs.
    """
    if cells.shape[-2:] == (bins, bins):
        return cells
    if not torch.are_deterministic_algorithms_enabled():
        return F.adaptive_avg_pool2d(cells, bins)
    rows, columns = (_windows(side, bins, cells.device).to(cells.dtype) for side in cells.shape[-2:])
    return rows @ cells @ columns.T


def _windows(side: int, bins: int, device: torch.device) -> Tensor:
    """Share of each cell in each bin's mean: (B, side), made on the device, so that no copy has to be waited for."""
    cell, place = torch.arange(side, device=device), torch.arange(bins, device=device)[:, None]
    start, end = place * side // bins, ((place + 1) * side + bins - 1) // bins
    return ((cell >= start) & (cell < end)) / (end - start)
