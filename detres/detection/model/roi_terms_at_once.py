"""Which cells the bins of RoIs read, where a host would have to wait for the device to learn how much that is.

Every sample has its four terms, also where several read one cell, so that the RoIs' sizes alone say how many there are:
one number for all, which may be asked together with others. Each term finds its RoI, bin, sample and corner by itself.
R RoIs, P×P bins a RoI, S samples along one side of a bin, T terms of all sums.
"""

from __future__ import annotations

import torch
from torch import Tensor

from detres.detection.model.roi_terms import Span, Terms, span_of


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


def _spans(rois: Tensor, pool: int, scale: float, sampling_ratio: int, aligned: bool) -> tuple[Span, Span]:
    """Along y and x. A RoI with a corner that is no number is a point: else it might have any number of samples."""
    finite = rois.isfinite().all(dim=1, keepdim=True)
    x0, y0, x1, y1 = (torch.where(finite, rois, 0.0) * scale).unbind(dim=1)
    return span_of(y0, y1, pool, sampling_ratio, aligned), span_of(x0, x1, pool, sampling_ratio, aligned)


def _corners(span: Span, roi: Tensor, of_bin: Tensor, number: Tensor, cells: int) -> tuple[Tensor, Tensor]:
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
