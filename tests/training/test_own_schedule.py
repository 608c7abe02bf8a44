"""A user's own schedule: passed on as it is, and told by its name where it fails."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from detres.errors import ConfigError
from detres.training.own_schedule import OwnSchedule
from detres.training.schedule_building import build_schedule
from detres.training.schedules import Rates, Schedule


def halves(rates: Rates, *, every: int = 2) -> Schedule:
    return rates.along(lambda step: 0.5 ** (step // every))


def raises(rates: Rates) -> Schedule:
    return rates.along(lambda step: 1 / 0)


def leaves(rates: Rates) -> Schedule:
    raise SystemExit(3)


def text(rates: Rates) -> Schedule:
    return rates.along(lambda step: "x")  # type: ignore[arg-type,return-value]  # the mistake


class Kept:
    """One with a state, and a rate of any kind."""

    def __init__(self, rate: Any) -> None:
        self.rate, self.told = rate, [0]

    def lr_at(self, step: int) -> Any:
        return self.rate

    def observe(self, step: int, metrics: Mapping[str, Any]) -> None:
        self.told.append(metrics["AP"])

    def measure(self, step: int, micro_batches: Any) -> None:
        self.told.append(step)

    def state_dict(self) -> dict[str, Any]:
        return {"told": self.told}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.told = state["told"]


def test_its_rates_and_state_are_its_own() -> None:
    built = build_schedule(0.4, 8, name=f"{__name__}:halves", warmup_steps=1, warmup_factor=0.5, options={"every": 3})
    assert [built.lr_at(step) for step in range(5)] == [0.2, 0.4, 0.4, 0.2, 0.2]
    assert built.state_dict() == {}
    own = OwnSchedule(Kept(0), "mine:kept")
    own.observe(1, {"AP": 5})
    own.measure(2, [])
    assert own.state_dict() == {"told": [0, 5, 2]}
    own.load_state_dict({"told": []})
    assert (own.state_dict(), own.lr_at(3)) == ({"told": []}, 0.0)


@pytest.mark.parametrize("rate", [math.nan, math.inf, -1e-9, "0.1", None])
def test_a_rate_that_is_none_is_told_with_the_step(rate: Any) -> None:
    with pytest.raises(ConfigError, match=r"^schedule\.name mine:kept: its rate at step 7 is .*, expected a finite"):
        OwnSchedule(Kept(rate), "mine:kept").lr_at(7)


@pytest.mark.parametrize(
    ("curve", "said"),
    [
        (
            raises,
            r"its lr_at of step 4 raised ZeroDivisionError: division by zero \(.*test_own_schedule\.py:\d+\); mend",
        ),
        (text, r"its lr_at of step 4 raised TypeError: can't multiply"),
    ],
)
def test_a_curve_that_fails_is_told_with_its_file_and_line(curve: Callable[..., Schedule], said: str) -> None:
    built = build_schedule(0.1, 10, name=f"{__name__}:{curve.__name__}")
    with pytest.raises(ConfigError, match=rf"^schedule\.name \S+:{curve.__name__}: {said}"):
        built.lr_at(4)


def test_one_that_leaves_the_process_does_so_with_a_word() -> None:
    with pytest.raises(ConfigError, match=r"^schedule\.name \S+:leaves: it raised SystemExit: 3 \(.*\.py:\d+\)"):
        build_schedule(0.1, 10, name=f"{__name__}:leaves")


def test_what_it_observes_wrongly_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^schedule\.name mine:kept: its observe raised KeyError: 'AP'"):
        OwnSchedule(Kept(1.0), "mine:kept").observe(3, {})
