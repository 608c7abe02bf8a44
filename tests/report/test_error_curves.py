from __future__ import annotations

from typing import Any

import pytest

from detres.errors import DataError
from detres.report.error_curves import error_curves_figure, reached


def run(tested: dict[int, float], trained: dict[int, float]) -> list[dict[str, Any]]:
    rows = [{"kind": "train", "step": step, "loss": 1.0, "top1_error": error} for step, error in trained.items()]
    return rows + [{"kind": "eval", "step": step, "top1_error": error} for step, error in tested.items()]


def test_the_best_and_the_last_errors_by_hand() -> None:
    found = reached(run({10: 0.4, 20: 0.2, 30: 0.25}, {s: 0.5 - s / 1000 for s in range(1, 401)}))
    assert (found.step, found.best, found.best_step, found.last) == (400, 0.2, 20, 0.25)
    assert found.training == pytest.approx(0.5 - (397 + 398 + 399 + 400) / 4000)
    assert str(found) == "test error best 20.00 % at step 20, last 25.00 %; training error 10.15 %"


def test_what_was_not_logged_is_a_dash() -> None:
    assert str(reached([])) == "test error best –, last –; training error –"
    assert str(reached(run({}, {5: 0.5}))) == "test error best –, last –; training error 50.00 %"


def test_training_is_thin_and_testing_bold() -> None:
    runs = {"plain": run({10: 0.4, 20: 0.2}, {5: 0.6, 15: 0.3}), "residual": run({20: 0.1}, {})}
    (axes,) = error_curves_figure({"both": runs}, marks=(12,)).axes
    widths = [line.get_linewidth() for line in axes.lines]
    assert widths == [0.8, 2.4, 2.4, 0.8]
    assert list(axes.lines[1].get_ydata()) == [40.0, 20.0]
    assert axes.lines[2].get_marker() == "o"
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["plain  20.00 %", "residual  10.00 %"]


def test_panels_share_their_scale() -> None:
    panels = {"a": {"x": run({1: 0.9}, {})}, "b": {"y": run({1: 0.1}, {})}}
    first, second = error_curves_figure(panels).axes
    assert first.get_ylim() == second.get_ylim()
    assert (first.get_title(), second.get_title()) == ("a", "b")


def test_runs_without_errors_are_told() -> None:
    with pytest.raises(DataError, match="2 runs hold no top1_error"):
        error_curves_figure({"all": {"a": [{"kind": "train", "step": 1, "loss": 2.0}], "b": []}})
