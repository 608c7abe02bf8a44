"""Tables as text: what was not measured is a dash, several runs are a mean and a deviation."""

from __future__ import annotations

from pathlib import Path

import pytest

from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import Layer
from detres.reproduction.planning import Plan, Run, Settings
from detres.reproduction.rows import SHORT, Column, Cost, Error, Published, Table, row
from detres.reproduction.running import Result
from detres.reproduction.writing import SMOKE, markdown, number

TABLE = Table(
    "Table 0: two nets",
    (Column(SHORT["test"], Error()), Column(SHORT["size"], Cost("parameters"))),
    (row("small", "a", test=8.75, size=0.27), row("large", "b", test=Published(6.61, "6.61 ± 0.16"))),
    contrasts=(("small", "large"),),
    notes=("Made up.",),
)
REAL = Settings(Path("out"))


def results(small: tuple[float, ...], large: tuple[float, ...], trouble: str | None = None) -> list[Result]:
    run = Run(ClassificationConfig(), ClassificationConfig(), Path("nowhere"))
    plans = [Plan(row, ((run,),)) for row in TABLE.rows]
    values = [{SHORT["test"]: small, SHORT["size"]: (0.269722,)}, {SHORT["test"]: large}]
    return [Result(plans[0], values[0]), Result(plans[1], values[1], trouble=trouble)]


def test_a_table_by_hand() -> None:
    text = markdown(TABLE, results((8.7512,), (6.0, 7.0)), REAL, "Here.")
    assert text.splitlines() == [
        "# Table 0: two nets",
        "",
        "|  | test error, %: paper | detres | parameters, 10⁶: paper | detres | seeds |",
        "| --- | --- | --- | --- | --- | --- |",
        "| small | 8.75 | 8.75 | 0.27 | 0.27 | 1 |",
        "| large | 6.61 ± 0.16 | 6.50 ± 0.71 | – | – | 2 |",
        "",
        "- Made up.",
        "- large against small: test error -2.25 points.",
        "",
        "Here.",
    ]


def test_what_was_not_measured_is_a_dash_and_says_why() -> None:
    text = markdown(TABLE, results((), (), trouble="no data"), REAL)
    assert "| small | 8.75 | – | 0.27 | 0.27 | – |" in text
    assert "| large | 6.61 ± 0.16 | – | – | – | – |" in text
    assert "- large: no data" in text
    assert "against" not in text


def test_a_smoke_run_says_so_above_all() -> None:
    smoke = Settings(Path("out"), smoke=True)
    assert markdown(TABLE, results((1.0,), (2.0,)), smoke).splitlines()[2] == f"**{SMOKE}**"


def test_what_was_changed_about_the_recipes_is_said() -> None:
    changed = Settings(Path("out"), layers=(Layer("my.yaml", {}),), overrides=("training.steps=9",))
    assert "- The recipes were changed by: my.yaml, training.steps=9." in markdown(TABLE, results((), ()), changed)


@pytest.mark.parametrize(
    ("values", "text"), [((), "–"), ((7.0,), "7.00"), ((6.0, 7.0, 8.0), "7.00 ± 1.00"), ((0.005,), "0.01")]
)
def test_numbers(values: tuple[float, ...], text: str) -> None:
    assert number(values, 2) == text
