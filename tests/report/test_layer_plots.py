from __future__ import annotations

from pathlib import Path

from detres.report.figures import write_figure
from detres.report.layer_plots import costs_figure, responses_figure


def test_responses_stand_in_order_and_sorted() -> None:
    ordered, ranked = responses_figure({"plain-20": [1.0, 3.0, 2.0], "ResNet-20": [0.5, 0.1]}).axes
    assert list(ordered.lines[0].get_ydata()) == [1.0, 3.0, 2.0]
    assert list(ranked.lines[0].get_ydata()) == [3.0, 2.0, 1.0]
    assert [line.get_linestyle() for line in ordered.lines] == ["--", "-"]


def test_stages_lie_end_to_end_in_one_bar() -> None:
    (axes,) = costs_figure({"small": {"c1": 1_000_000_000, "fc": 500_000_000}, "large": {"c1": 2_000_000_000}}).axes
    assert [round(bar.get_width(), 3) for bar in axes.patches] == [1.0, 2.0, 0.5, 0.0]
    assert [round(bar.get_x(), 3) for bar in axes.patches] == [0.0, 0.0, 1.0, 2.0]
    assert [text.get_text().strip() for text in axes.texts] == ["1.5", "2"]


def test_nothing_to_draw_is_an_empty_picture(tmp_path: Path) -> None:
    for name, figure in (("responses", responses_figure({})), ("costs", costs_figure({}))):
        assert write_figure(figure, tmp_path / f"{name}.png").stat().st_size
