"""Reliability bins against hand-made scores and a plain reading."""

from __future__ import annotations

import numpy as np
import pytest

from detres.evaluation.classification.calibration import calibrate


def test_two_bins_by_hand() -> None:
    # 0.2 and 0.4 hit half the time, 0.9 always: off by 0.2 twice and by 0.1 once.
    found = calibrate(np.array([0.2, 0.9, 0.4]), np.array([True, True, False]), bins=2)
    assert found.counts.tolist() == [2, 1]
    assert found.scores.tolist() == pytest.approx([0.3, 0.9])
    assert found.hit_rates.tolist() == [0.5, 1]
    assert found.error == pytest.approx((0.2 + 0.2 + 0.1) / 3)


def test_random_scores_agree_with_a_plain_reading() -> None:
    draw = np.random.default_rng(3)
    scores, hits = draw.random(500) ** 3, draw.random(500) < 0.4
    found, error = calibrate(scores, hits), 0.0
    for place in range(10):
        inside = [i for i in range(500) if place / 10 <= scores[i] < (place + 1) / 10]
        assert found.counts[place] == len(inside)
        if inside:
            rate, mean = np.mean([hits[i] for i in inside]), np.mean([scores[i] for i in inside])
            assert (found.hit_rates[place], found.scores[place]) == (pytest.approx(rate), pytest.approx(mean))
            error += len(inside) / 500 * abs(rate - mean)
    assert found.error == pytest.approx(error)


def test_a_score_of_one_lies_in_the_last_bin() -> None:
    found = calibrate(np.array([1.0, 0.0]), np.array([True, False]))
    assert found.counts.tolist() == [1, *[0] * 8, 1]
    assert found.error == 0


def test_without_detections_nothing_is_defined() -> None:
    found = calibrate(np.zeros(0), np.zeros(0, bool))
    assert found.counts.sum() == 0
    assert np.isnan(found.hit_rates).all()
    assert found.error is None
