"""A linear layer of very many outputs, of which only those that are asked for are computed.

A thousand classes times nine anchors times five numbers a cell would be gigabytes of maps for a batch; an image learns
from eight anchors of its one class. M samples, N images of H×W cells, S rows asked for of an image, R rows in all.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PerClassLinear(nn.Module):
    """R linear maps of `channels` features to `width` numbers each. weight: (R, width, channels). bias: (R, width)."""

    def __init__(self, channels: int, rows: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, width, channels))
        self.bias = nn.Parameter(torch.zeros(rows, width))
        nn.init.normal_(self.weight, std=0.01)

    def forward(self, features: Tensor, rows: Tensor) -> Tensor:
        """One row for each sample: (M, channels), (M,) int64 -> (M, width), float32 or wider."""
        # Indexing, whose gradient is summed in a fixed order; index_select's is not, on a GPU.
        found = torch.einsum("mc,mwc->mw", features, self.weight[rows]) + self.bias[rows]
        return _wide(found)

    def everywhere(self, maps: Tensor, rows: Tensor) -> Tensor:
        """Some rows for each image, on all of its cells: (N, channels, H, W), (N, S) -> (N, S, H, W, width)."""
        found = torch.einsum("nchw,nsdc->nshwd", maps, self.weight[rows]) + self.bias[rows][:, :, None, None]
        return _wide(found)


def _wide(numbers: Tensor) -> Tensor:
    """Losses and boxes are not computed in bf16."""
    return numbers if numbers.dtype == torch.float64 else numbers.float()
