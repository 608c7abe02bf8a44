from __future__ import annotations

import pytest

from detres.tasks.detection.finetune.costs import Costs


def test_evaluations_get_a_tenth_of_the_time_of_learning():
    costs = Costs(learning=0.5, evaluating=10.0)
    # 1000 pictures take 500 s, a tenth of which is five evaluations.
    assert costs.evaluations(1000) == 5
    assert costs.of(1000) == 550.0
    assert costs.evaluations(10) == 1
    assert costs.evaluations(10**6) == 25
    assert Costs(0.5, 0.0).evaluations(1) == 25
    assert Costs(0.5, 0.0).of(10) == 5.0


@pytest.mark.parametrize("seconds", [11.0, 60.0, 550.0, 2000.0, 3000.0, 10**5])
@pytest.mark.parametrize("evaluating", [0.0, 0.01, 10.0])
def test_what_is_affordable_takes_no_longer_and_a_picture_more_would(seconds, evaluating):
    costs = Costs(0.5, evaluating)
    pictures = costs.affordable(seconds)
    assert costs.of(pictures) <= seconds
    # One interval of evaluations is what the rounding of their count may leave over.
    assert costs.of(pictures + 1) > seconds - evaluating


def test_too_little_time_is_not_above_nothing():
    assert Costs(0.5, 10.0).affordable(9.0) < 0
    assert Costs(0.5, 0.0).affordable(-3.0) < 0
