"""Whether a score is the share of detections that hit: reliability bins and the expected calibration error.

D detections, B bins of equal width over scores from 0 to 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 10


@dataclass(frozen=True, eq=False)
class Calibration:
    """counts: (B,) int64 detections of each bin. scores, hit_rates: (B,) their mean score and the share that hit, nan
    in empty bins. error: the expected calibration error, None without a detection.
    """

    counts: NDArray[np.int64]
    scores: NDArray[np.float64]
    hit_rates: NDArray[np.float64]
    error: float | None


def calibrate(scores: NDArray[np.float64], hits: NDArray[np.bool_], *, bins: int = BINS) -> Calibration:
    """Reliability of scores: a bin holds its lower edge, the last one 1 as well.

    scores: (D,) from 0 to 1. hits: (D,) bool, whether each found an object. The expected calibration error is the mean
    over all detections of the difference between their bin's hit rate and its mean score.
    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", equation 3.
    """
    place = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    sums = np.bincount(place, scores, minlength=bins), np.bincount(place, hits, minlength=bins)
    mean_scores, hit_rates = (np.divide(s, counts, out=np.full(bins, np.nan), where=counts > 0) for s in sums)
    error = float(np.abs(sums[1] - sums[0]).sum() / len(scores)) if len(scores) else None
    return Calibration(counts, mean_scores, hit_rates, error)
