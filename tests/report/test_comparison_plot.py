from __future__ import annotations

import numpy as np
import pytest

from detres.report.comparison_plot import Pair, comparison_figure


def test_the_paper_is_a_ring_and_ours_a_dot_with_its_deviation() -> None:
    pairs = [Pair("ResNet-20", 8.75, [8.0, 9.0]), Pair("ResNet-32", 7.51), Pair("own", None, [3.0])]
    (axes,) = comparison_figure([("error, %", pairs)], title="table 6").axes
    rings, dots = axes.lines[0], axes.lines[1]
    assert np.array_equal(rings.get_xdata(), [8.75, 7.51, np.nan], equal_nan=True)
    assert np.array_equal(dots.get_xdata(), [8.5, np.nan, 3.0], equal_nan=True)
    segment = axes.containers[0].lines[2][0].get_segments()[0]
    assert segment[1][0] - segment[0][0] == pytest.approx(2 * np.std([8, 9], ddof=1))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ResNet-20", "ResNet-32", "own"]


def test_where_nothing_was_measured_only_the_paper_is_drawn() -> None:
    (axes,) = comparison_figure([("error, %", [Pair("ResNet-20", 8.75)])]).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["the paper"]
