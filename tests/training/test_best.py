from __future__ import annotations

import pytest

from detres.errors import ConfigError
from detres.training.best import Best, better, lower_is_better


def test_more_is_better_of_precision_and_less_of_errors():
    best = Best("AP", 0.4, 10)
    assert better(best, "AP", {"AP": 0.41}, 20) == Best("AP", 0.41, 20)
    assert better(best, "AP", {"AP": 0.4}, 20) is None
    assert better(Best("top1_error", 0.4, 10), "top1_error", {"top1_error": 0.41}, 20) is None
    assert better(Best("top1_error", 0.4, 10), "top1_error", {"top1_error": 0.39}, 20) == Best("top1_error", 0.39, 20)


def test_the_first_is_the_best_unless_it_is_undefined():
    assert better(None, "AP", {"AP": 0.0}, 5) == Best("AP", 0.0, 5)
    assert better(None, "AP", {"AP": None}, 5) is None


def test_a_metric_that_was_not_measured_is_told_with_those_that_were():
    with pytest.raises(ConfigError, match=r"best_metric=AP: the evaluation gave no such metric; it gave F1, F2"):
        better(None, "AP", {"F1": 0.1, "F2": 0.2}, 5)


def test_which_metrics_shall_fall():
    assert [name for name in ("AP50", "top1_error", "loss_rpn_box", "true_class_error") if lower_is_better(name)] == [
        *("top1_error", "loss_rpn_box", "true_class_error"),
    ]


def test_in_words():
    assert str(Best("AP50", 0.63333, 7)) == "AP50 63.33 %"
