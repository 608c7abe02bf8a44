"""Curves of a run: everything there is drawn, nothing global is touched."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detres.errors import DataError
from detres.report.figures import write_figure
from detres.report.plots import smoothed, training_figure

LOSSES = ("loss", "loss_rpn_objectness", "loss_rpn_box", "loss_roi_class", "loss_roi_box")


def rows(steps: int = 200, evaluations: int = 4) -> list[dict[str, Any]]:
    trained = [
        {"kind": "train", "step": s, "lr": 0.02} | dict.fromkeys(LOSSES, 2 / (1 + s / 50)) for s in range(1, steps)
    ]
    evaluated = [
        {"kind": "eval", "step": 50 * i, "mAP50": 0.2 * i, "AP": 0.1 * i, "APs": None, "per_class": {}}
        for i in range(1, evaluations + 1)
    ]
    return [*trained, {"kind": "event", "step": 5, "message": "started"}, *evaluated]


def labels(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_losses_and_metrics_stand_side_by_side() -> None:
    losses, metrics, *_ = training_figure(rows(), title="a run").axes
    assert labels(losses) == ["total", "rpn objectness", "rpn box", "roi class", "roi box"]
    assert labels(metrics) == ["mAP@0.5 (area)", "AP@[.5:.95]"]
    assert [text.get_text() for text in metrics.texts] == ["80.0"]


def test_a_run_without_evaluations_has_losses_alone() -> None:
    figure = training_figure([{"kind": "train", "step": 1, "loss": 1.0}])
    assert len(figure.axes) == 1


def test_the_best_of_an_error_is_its_least() -> None:
    metrics = training_figure([{"kind": "eval", "step": s, "top1_error": e} for s, e in ((1, 0.3), (2, 0.1))]).axes[0]
    assert [text.get_text() for text in metrics.texts] == ["10.0"]


def test_numbers_that_are_not_finite_are_left_out() -> None:
    broken = [{"kind": "train", "step": 3, "loss": float("nan")}, {"kind": "eval", "step": 3, "mAP50": None}]
    training_figure(rows() + broken)
    with pytest.raises(DataError, match="2 rows of metrics hold no loss"):
        training_figure(broken)


def test_a_row_of_zeros_can_be_drawn() -> None:
    training_figure([{"kind": "train", "step": 0, "loss": 0.0, "lr": 0.0}])


def test_smoothing_keeps_a_line_straight_and_a_constant_constant() -> None:
    assert smoothed(np.ones(7), 4) == pytest.approx(np.ones(7))
    assert smoothed(np.arange(9.0), 3)[1:-1] == pytest.approx(np.arange(1.0, 8.0))
    assert smoothed(np.array([1.0, 5.0]), 1) == pytest.approx([1.0, 5.0])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start"), [("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml")])
def test_the_file_is_written_whole(tmp_path: Path, name: str, start: bytes) -> None:
    file = write_figure(training_figure(rows()), tmp_path / "report" / name)
    assert file.read_bytes().startswith(start)
    assert [f.name for f in file.parent.iterdir()] == [name]


@pytest.mark.slow
def test_pyplot_is_never_imported() -> None:
    program = (
        "import sys; from detres.report.plots import training_figure; "
        "training_figure([{'kind': 'train', 'step': 1, 'loss': 1.0}]); "
        "raise SystemExit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
