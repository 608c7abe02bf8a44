"""Which cells of the features each bin of a RoI reads, and with what weights: in two ways, with the same sums.

In as few terms as there are, for whose number a host would have to wait for its device. Or at once: every sample has
its four terms, also where several read one cell, so that the RoIs' sizes alone say how many there are: one number for
all, which may be asked together with others. Each of these finds its RoI, bin, sample and corner by itself.
R RoIs, P×P bins a RoI, S samples along one side of a bin, T terms of all sums.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Terms:
    """The sparse matrix, bin after bin: row[t] of the features times weight[t], counts[b] of them for bin b.

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


@dataclass(frozen=True)
class _Span:
    """Where RoIs lie along one image axis, in cells of the features.

    start, bin_length: (R,). samples: (R,) whole numbers as floats, S of each RoI.
    """

    start: Tensor
    bin_length: Tensor
    samples: Tensor


def _span_of(start: Tensor, end: Tensor, pool: int, sampling_ratio: int, aligned: bool) -> _Span:
    """start, end: (R,) in cells, 0 at the edge of the image."""
    if aligned:
        start, end = start - 0.5, end - 0.5
    length = end - start if aligned else (end - start).clamp(min=1)
    bin_length = length / pool
    samples = torch.full_like(bin_length, sampling_ratio) if sampling_ratio else bin_length.ceil().clamp(min=0)
    return _Span(start, bin_length, samples)


def merged_terms(
    rois: Tensor,
    image_index: Tensor,
    size: tuple[int, int],
    pool: int,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Terms:
    """Terms in which samples of a bin that read the same cell are one.

    Bilinear weights are products of one weight an axis, so each bin's terms are its y terms × its x terms.
    rois: (R, 4) floating. image_index: (R,). size: height and width of the maps. pool, scale, sampling_ratio, aligned:
    as roi_align takes them. How many terms there are is read from the device.
    """
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
    return Terms(row, weight, counts)


def _axis(start: Tensor, end: Tensor, cells: int, pool: int, sampling_ratio: int, aligned: bool) -> _Axis:
    """The cells and weights of the P bins between start and end.

    start, end: (R,) in cells. A sample up to one cell outside of 0..cells takes the border's value, one further
    away counts as 0.
    """
    span = _span_of(start, end, pool, sampling_ratio, aligned)
    position, exists = _sample_positions(span, pool)
    counted = exists & (position >= -1) & (position <= cells)
    share = counted / span.samples.clamp(min=1)[:, None, None]
    return _merge_samples(position.clamp(0, cells - 1), share, span.samples > 0, cells)


def _sample_positions(span: _Span, pool: int) -> tuple[Tensor, Tensor]:
    """Where the samples of each bin lie, never downwards: (R, P, S) in cells, and which of them exist (R, 1, S).

    S is the most samples a RoI has; places past a RoI's last repeat that one.
    """
    start, bin_length, samples = span.start, span.bin_length, span.samples
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


def number_of_terms(rois: Tensor, pool: int, scale: float, sampling_ratio: int, aligned: bool) -> Tensor:
    """Terms of each RoI: (R,) int64, 0 for one without area where it decides how many samples there are.

    rois: (R, 4) in the precision that they are pooled in.
    """
    y, x = _spans(rois, pool, scale, sampling_ratio, aligned)
    return 4 * pool * pool * y.samples.long() * x.samples.long()


def terms_at_once(
    rois: Tensor,
    image_index: Tensor,
    size: tuple[int, int],
    pool: int,
    scale: float,
    sampling_ratio: int,
    aligned: bool,
    total: int | None = None,
) -> Terms:
    """As merged_terms, in up to four times as many terms.

    total: T, the sum of number_of_terms, where it is known. Else it is read from the device, unless sampling_ratio
    says it.
    """
    y, x = _spans(rois, pool, scale, sampling_ratio, aligned)
    rows, columns = 2 * y.samples.int(), 2 * x.samples.int()
    of_bin = rows * columns
    if total is None:
        total = 4 * sampling_ratio**2 * len(rois) if sampling_ratio else int(of_bin.sum())
        total *= pool * pool
    of_roi = of_bin.long() * (pool * pool)
    number = torch.arange(len(rois), dtype=torch.int32, device=rois.device)
    roi = torch.repeat_interleave(number, of_roi, output_size=total)
    place = (torch.arange(total, device=rois.device) - (of_roi.cumsum(0) - of_roi)[roi]).int()
    terms_of_bin, width = of_bin[roi], columns[roi]
    place_of_bin = place // terms_of_bin
    place = place - place_of_bin * terms_of_bin
    row = place // width
    y_cell, y_weight = _corners(y, roi, place_of_bin // pool, row, size[0])
    x_cell, x_weight = _corners(x, roi, place_of_bin % pool, place - row * width, size[1])
    cell = image_index.int()[roi] * (size[0] * size[1]) + y_cell * size[1] + x_cell
    return Terms(cell, y_weight * x_weight, of_bin.repeat_interleave(pool * pool, output_size=len(rois) * pool * pool))


def _spans(rois: Tensor, pool: int, scale: float, sampling_ratio: int, aligned: bool) -> tuple[_Span, _Span]:
    """Along y and x. A RoI with a corner that is no number is a point: else it might have any number of samples."""
    finite = rois.isfinite().all(dim=1, keepdim=True)
    x0, y0, x1, y1 = (torch.where(finite, rois, 0.0) * scale).unbind(dim=1)
    return _span_of(y0, y1, pool, sampling_ratio, aligned), _span_of(x0, x1, pool, sampling_ratio, aligned)


def _corners(span: _Span, roi: Tensor, of_bin: Tensor, number: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """The cell that each term reads along one axis, (T,) int32, and its weight there, (T,).

    roi, of_bin: (T,), the term's RoI and bin. number: (T,), twice its sample, plus one for the sample's upper cell.
    """
    length, samples = span.bin_length[roi], span.samples[roi]
    position = span.start[roi] + of_bin * length + (number // 2 + 0.5) * (length / samples)
    counted = (position >= -1) & (position <= cells)
    position = position.clamp(0, cells - 1)
    low = position.int()
    fraction = position - low
    upper = number % 2 == 1
    cell = torch.where(upper, (low + 1).clamp(max=cells - 1), low)
    return cell, torch.where(upper, fraction, 1 - fraction) * (counted / samples)
