"""Contenders are called in turn, and the clock decides when no further round begins."""

import time

import torch

from detres.benchmarks.timing import Plan, alternate, seconds_of

CPU = torch.device("cpu")


def test_contenders_alternate_after_a_warm_up() -> None:
    called: list[str] = []
    times = alternate({"a": lambda: called.append("a"), "b": lambda: called.append("b")}, CPU, Plan(rounds=3))
    assert called == ["a", "b"] * 4
    assert {name: len(seconds) for name, seconds in times.items()} == {"a": 3, "b": 3}


def test_the_warm_up_can_be_left_out() -> None:
    called: list[str] = []
    alternate({"a": lambda: called.append("a")}, CPU, Plan(rounds=3, warm_up=False))
    assert called == ["a"] * 3


def test_three_rounds_are_run_however_long_they_take() -> None:
    times = alternate({"a": lambda: None}, CPU, Plan(rounds=9, seconds=0.0))
    assert len(times["a"]) == 3


def test_seconds_are_wall_time() -> None:
    assert 0.02 <= seconds_of(lambda: time.sleep(0.02), CPU) < 2
