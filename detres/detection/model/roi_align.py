"""RoIAlign as a weighted sum of feature rows, and by torchvision's kernel.

Every output bin is a sum of a few feature cells with bilinear weights, so the whole operation is one sparse matrix
(bins × cells) times the features as rows (cells × channels). F.embedding_bag multiplies by such a matrix at the
speed of memory when features are channels_last, and the gradient is the same call with the transposed matrix.

N images, C channels, H×W cells, R RoIs, P×P bins a RoI, S samples along one side of a bin, T terms of all sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable
from torchvision.ops import roi_align as torchvision_roi_align

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
) -> Tensor:
    """Average bilinear samples of the features in P×P bins of every RoI.

    features: (N, C, H, W) floating. rois: (R, 4) xyxy, finite pixels of the images. image_index: (R,) int64, the
    image each RoI lies in. pool: P. scale: cells per pixel, 1 / stride. sampling_ratio: S, or 0 for as many samples
    as a bin has cells along each side. aligned: cell centres lie at half-integers (subtracts half a cell);
    otherwise they lie at integers and a RoI is at least one cell wide, as in the first published form.
    method: "rows", "torchvision", or "auto" for rows on the CPU and torchvision's kernel elsewhere and in exports.
    Returns (R, C, P, P) in the features' dtype, channels_last from rows; R may be 0. RoIs get no gradient.
    Raises ConfigError where rows are to be exported.
    Source: He et al. 2017, Mask R-CNN, section 3.
    """
    exporting = torch.compiler.is_exporting()
    if method == "auto":
        method = "rows" if features.device.type == "cpu" and not exporting else "torchvision"
    if method == "rows" and exporting:
        raise ConfigError(
            "model.roi.roi_align is rows, whose sizes depend on the boxes in ways torch.export cannot follow; "
            "with auto or torchvision the detector exports"
        )
    # Coordinates stay in float32 whatever the features are: bfloat16 cannot tell pixel 801 from 803.
    precision = torch.float64 if features.dtype == torch.float64 else torch.float32
    if method == "torchvision":
        with_index = torch.cat([image_index[:, None].to(precision), rois.to(precision)], dim=1)
        pooled = torchvision_roi_align(features.to(precision), with_index, pool, scale, sampling_ratio, aligned)
        return pooled.to(features.dtype)
    channels, height, width = features.shape[1:]
    rows = features.permute(0, 2, 3, 1).reshape(-1, channels)
    terms = _terms(rois.detach().to(precision), image_index, (height, width), pool, scale, sampling_ratio, aligned)
    pooled = _WeightedRowSums.apply(rows, terms)
    return pooled.view(len(rois), pool, pool, channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class _Terms:
    """The sparse matrix, bin after bin: row[t] of the features times weight[t], bin b from term starts[b] on.

    row: (T,) int32. weight: (T,) float. counts: (R*P*P,) int32, terms of each bin.
    """

    row: Tensor
    weight: Tensor
    counts: Tensor


@dataclass(frozen=True)
class _Axis:
    """What the bins of one image axis read: cell[r, p, k] times weight[r, p, k], for k below counts[r, p].

    cell: (R, P, 2S) int32. weight: (R, P, 2S) float. counts: (R, P) int32.
    """

    cell: Tensor
    weight: Tensor
    counts: Tensor


def _terms(
    rois: Tensor,
    image_index: Tensor,
    size: tuple[int, int],
    pool: int,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> _Terms:
    """Bilinear weights are products of one weight an axis, so each bin's terms are its y terms × its x terms."""
    height, width = size
    x = _axis(rois[:, 0] * scale, rois[:, 2] * scale, width, pool, sampling_ratio, aligned)
    y = _axis(rois[:, 1] * scale, rois[:, 3] * scale, height, pool, sampling_ratio, aligned)
    y_depth, x_depth = y.cell.shape[2], x.cell.shape[2]
    first_row = (image_index.to(torch.int32) * (height * width))[:, None, None]
    y_row = (y.cell * width + first_row).flatten()

    shape = (len(rois), pool, pool)
    x_counts = x.counts[:, None, :].expand(shape).flatten()
    counts = y.counts[:, :, None].expand(shape).flatten() * x_counts
    bins = torch.arange(len(counts), dtype=torch.int32, device=rois.device)
    bin_of_term = torch.repeat_interleave(bins, counts)
    starts = counts.cumsum(0, dtype=torch.int32) - counts
    place = torch.arange(len(bin_of_term), dtype=torch.int32, device=rois.device) - starts[bin_of_term]
    x_width = x_counts[bin_of_term]
    y_place = place // x_width
    x_place = place - y_place * x_width
    # Bin b = (r * P + p_y) * P + p_x: the tables of y are indexed by r * P + p_y, those of x by r * P + p_x.
    y_at = (bins // pool * y_depth)[bin_of_term] + y_place
    x_at = ((bins // (pool * pool) * pool + bins % pool) * x_depth)[bin_of_term] + x_place
    row = y_row[y_at] + x.cell.flatten()[x_at]
    weight = y.weight.flatten()[y_at] * x.weight.flatten()[x_at]
    return _Terms(row, weight, counts)


def _axis(start: Tensor, end: Tensor, cells: int, pool: int, sampling_ratio: int, aligned: bool) -> _Axis:
    """The cells and weights of the P bins between start and end.

    start, end: (R,) in cells. A sample up to one cell outside of 0..cells takes the border's value, one further
    away counts as 0.
    """
    if aligned:
        start, end = start - 0.5, end - 0.5
    length = end - start if aligned else (end - start).clamp(min=1)
    bin_length = length / pool
    samples = torch.full_like(bin_length, sampling_ratio) if sampling_ratio else bin_length.ceil().clamp(min=0)
    position, exists = _sample_positions(start, bin_length, samples, pool)
    counted = exists & (position >= -1) & (position <= cells)
    share = counted / samples.clamp(min=1)[:, None, None]
    return _merge_samples(position.clamp(0, cells - 1), share, samples > 0, cells)


def _sample_positions(start: Tensor, bin_length: Tensor, samples: Tensor, pool: int) -> tuple[Tensor, Tensor]:
    """Where the samples of each bin lie, never downwards: (R, P, S) in cells, and which of them exist (R, 1, S).

    start, bin_length, samples: (R,). S is the most samples a RoI has; places past a RoI's last repeat that one.
    """
    most = int(samples.max().clamp(min=1)) if len(samples) else 1
    sample = torch.arange(most, dtype=start.dtype, device=start.device)
    last = (samples - 1).clamp(min=0)[:, None]
    # In a box turned inside out the samples are taken in reverse, so that they grow as well.
    number = torch.where(bin_length[:, None] < 0, last - sample, sample).clamp(min=0).minimum(last)
    inside_bin = (number + 0.5) * (bin_length / samples.clamp(min=1))[:, None]
    bins = torch.arange(pool, dtype=start.dtype, device=start.device)
    position = start[:, None, None] + bins[:, None] * bin_length[:, None, None] + inside_bin[:, None, :]
    return position, (sample < samples[:, None])[:, None, :]


def _merge_samples(position: Tensor, share: Tensor, sampled: Tensor, cells: int) -> _Axis:
    """Spread each sample over its two cells, adding up where samples of a bin read the same cell.

    position, share: (R, P, S), positions growing within 0..cells - 1. sampled: (R,) bool, False for RoIs without any.
    """
    low = position.to(torch.int32)
    high = (low + 1).clamp(max=cells - 1)
    fraction = position - low
    # Cells that a sample adds to those of the samples before it: as positions grow, it shares at most its own two.
    added = high - low + 1
    added[..., 1:] = added[..., 1:].minimum(high[..., 1:] - high[..., :-1])
    high_slot = added.cumsum(-1) - 1
    slot = torch.cat([high_slot - (high - low), high_slot], dim=-1)
    weight = torch.cat([(1 - fraction) * share, fraction * share], dim=-1)
    merged = torch.zeros_like(weight).scatter_add_(-1, slot, weight)
    cell = torch.zeros_like(slot, dtype=torch.int32).scatter_(-1, slot, torch.cat([low, high], dim=-1))
    counts = (high_slot[..., -1] + 1).to(torch.int32) * sampled[:, None]
    return _Axis(cell, merged, counts)


class _Kept(FunctionCtx):
    """What the backward pass needs of the forward pass."""

    terms: _Terms
    num_rows: int


class _WeightedRowSums(torch.autograd.Function):
    """Sparse matrix times rows, whose gradient is the transposed matrix times the gradient.

    embedding_bag's own backward scatters row by row; sorting the terms by feature row first turns it into the same
    fast and deterministic gather as the forward pass.
    """

    @staticmethod
    def forward(ctx: _Kept, rows: Tensor, terms: _Terms) -> Tensor:
        ctx.terms, ctx.num_rows = terms, len(rows)
        return _sum_rows(rows, terms.row, terms.weight, terms.counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Kept, gradient: Tensor) -> tuple[Tensor, None]:
        terms = ctx.terms
        row, order = terms.row.sort(stable=True)
        bins = torch.arange(len(terms.counts), dtype=torch.int32, device=gradient.device)
        bin_of_term = torch.repeat_interleave(bins, terms.counts)
        counts = torch.bincount(row, minlength=ctx.num_rows).to(torch.int32)
        return _sum_rows(gradient.contiguous(), bin_of_term[order], terms.weight[order], counts), None


def _sum_rows(rows: Tensor, index: Tensor, weight: Tensor, counts: Tensor) -> Tensor:
    """Sums of weight[t] * rows[index[t]] over consecutive groups of `counts` terms: (groups, C)."""
    if len(index) == 0:
        return rows.new_zeros(len(counts), rows.shape[1])
    starts = counts.cumsum(0, dtype=torch.int32) - counts
    return F.embedding_bag(index, rows, starts, mode="sum", per_sample_weights=weight.to(rows.dtype))
