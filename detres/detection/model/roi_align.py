"""RoIAlign as a weighted sum of feature rows, and by torchvision's kernel.

Every output bin is a sum of a few feature cells with bilinear weights, so the whole operation is one sparse matrix
(bins × cells) times the features as rows (cells × channels). F.embedding_bag multiplies by such a matrix at the
speed of memory when features are channels_last, and the gradient is the same call with the transposed matrix.

N images, C channels, H×W cells, R RoIs, P×P bins a RoI, S samples along one side of a bin, T terms of all sums.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torchvision.ops import roi_align as torchvision_roi_align

from detres.detection.model.roi_terms import Terms, merged_terms, terms_at_once
from detres.detection.model.suppression_at_once import waits
from detres.errors import ConfigError

RoIAlignMethod = Literal["auto", "rows", "torchvision"]


def roi_align(
    features: Tensor,
    rois: Tensor,
    image_index: Tensor,
    *,
    pool: int,
    scale: float,
    sampling_ratio: int = 0,
    aligned: bool = True,
    method: RoIAlignMethod = "auto",
    total: int | None = None,
) -> Tensor:
    """Average bilinear samples of the features in P×P bins of every RoI.

    features: (N, C, H, W) floating. rois: (R, 4) xyxy, finite pixels of the images. image_index: (R,) int64, the
    image each RoI lies in. pool: P. scale: cells per pixel, 1 / stride. sampling_ratio: S, or 0 for as many samples
    as a bin has cells along each side. aligned: cell centres lie at half-integers (subtracts half a cell);
    otherwise they lie at integers and a RoI is at least one cell wide, as in the first published form.
    method: "rows", "torchvision", or "auto" (takes_rows says which). total: of number_of_terms of these RoIs, where
    it is known: rows on a device whose host would wait for it.
    Returns (R, C, P, P) in the features' dtype, channels_last from rows; R may be 0. RoIs get no gradient.
    Raises ConfigError where rows are to be exported.
    Source: He et al. 2017, Mask R-CNN, section 3.
    """
    rows_asked = takes_rows(method, features.device)
    if rows_asked and torch.compiler.is_exporting():
        raise ConfigError(
            "model.roi.roi_align is rows, whose sizes depend on the boxes in ways torch.export cannot follow; "
            "with auto or torchvision the detector exports"
        )
    precision = precision_of(features)
    if not rows_asked:
        with_index = torch.cat([image_index[:, None].to(precision), rois.to(precision)], dim=1)
        pooled = torchvision_roi_align(features.to(precision), with_index, pool, scale, sampling_ratio, aligned)
        return pooled.to(features.dtype)
    channels, height, width = features.shape[1:]
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
    read = (rois.detach().to(precision), image_index, (height, width), pool, scale, sampling_ratio, aligned)
    terms = terms_at_once(*read, total) if waits(features.device) else merged_terms(*read)
    pooled = _WeightedRowSums.apply(rows, terms)
    return pooled.view(len(rois), pool, pool, channels).permute(0, 3, 1, 2)


def takes_rows(method: RoIAlignMethod, device: torch.device) -> bool:
    """Whether RoIs are pooled by rows there.

    auto: on the CPU, and wherever torch is asked for deterministic algorithms, for torchvision's kernel adds its
    gradients in any order; but not in exports.
    """
    if method != "auto":
        return method == "rows"
    wanted = device.type == "cpu" or torch.are_deterministic_algorithms_enabled()
    return wanted and not torch.compiler.is_exporting()


def precision_of(features: Tensor) -> torch.dtype:
    """Of coordinates: float32 whatever the features are, for bfloat16 cannot tell pixel 801 from 803; or float64."""
    return torch.float64 if features.dtype == torch.float64 else torch.float32


class _Kept(FunctionCtx):
    """What the backward pass needs of the forward pass."""

    terms: Terms
    num_rows: int


class _WeightedRowSums(torch.autograd.Function):
    """Sparse matrix times rows, whose gradient is the transposed matrix times the gradient.

    embedding_bag's own backward scatters row by row; sorting the terms by feature row first turns it into the same
    fast and deterministic gather as the forward pass.
    """

    @staticmethod
    def forward(ctx: _Kept, rows: Tensor, terms: Terms) -> Tensor:
        ctx.terms, ctx.num_rows = terms, len(rows)
        return _sum_rows(rows, terms.row, terms.weight, terms.counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Kept, gradient: Tensor) -> tuple[Tensor, None]:
        terms = ctx.terms
        row, order = terms.row.sort(stable=True)
        bins = torch.arange(len(terms.counts), dtype=torch.int32, device=gradient.device)
        bin_of_term = torch.repeat_interleave(bins, terms.counts, output_size=len(row))
        # bincount would ask the device for the last row.
        counts = row.new_zeros(ctx.num_rows).index_add_(0, row, row.new_ones(1).expand(len(row)))
        return _sum_rows(gradient.contiguous(), bin_of_term[order], terms.weight[order], counts), None


def _sum_rows(rows: Tensor, index: Tensor, weight: Tensor, counts: Tensor) -> Tensor:
    """Sums of weight[t] * rows[index[t]] over consecutive groups of `counts` terms: (groups, C)."""
    if len(index) == 0:
        return rows.new_zeros(len(counts), rows.shape[1])
    starts = counts.cumsum(0, dtype=torch.int32) - counts
    return F.embedding_bag(index, rows, starts, mode="sum", per_sample_weights=weight.to(rows.dtype))
