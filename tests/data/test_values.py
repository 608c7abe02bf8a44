"""Numbers, flags and ids as files have them."""

import math
from typing import Any

import pytest

from detres.data.values import excerpt, finite_number, flag, whole_number


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3.0), (0.5, 0.5), ("0.5", 0.5), (" -1e3 ", -1000.0), (".5", 0.5), ("5.", 5.0), (0, 0.0)],
)
def test_a_number_is_read_from_numbers_and_their_text(value: Any, number: float) -> None:
    assert finite_number(value) == number


@pytest.mark.parametrize(
    "value",
    [None, True, "", "x", "nan", "inf", "1_0", "٣", "0x10", "1e999", math.nan, math.inf, 10**400, [1], {}, "1,5"],
)
def test_what_is_no_finite_number_is_none(value: Any) -> None:
    assert finite_number(value) is None


def test_a_million_digits_are_no_number_at_once() -> None:
    assert finite_number("1" * 1_000_000 + "x") is None
    assert finite_number("1" * 999 + "x") is None
    assert finite_number(" " * 1_000_000) is None


@pytest.mark.parametrize(
    ("value", "whole"),
    [(7, 7), (7.0, 7), ("7", 7), ("7.0", 7), (" 007 ", 7), (-3, -3), (2**70, 2**70), (str(2**70), 2**70)],
)
def test_a_whole_number_keeps_every_digit(value: Any, whole: int) -> None:
    assert whole_number(value) == whole


@pytest.mark.parametrize("value", [None, True, 7.5, "7.5", "1e3", math.nan, 1e300, 10**400, "9" * 41, "a", [7]])
def test_what_is_no_whole_number_is_none(value: Any) -> None:
    assert whole_number(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("0", False), ("1", True), (0, False), (1, True), (0.0, False), ("1.0", True), (None, False), ("", False)),
        *((True, True), (False, False), ("true", True), ("False", False), ("Unspecified", False)),
    ],
)
def test_a_flag_is_what_the_file_means(value: Any, expected: bool) -> None:
    assert flag(value) is expected


@pytest.mark.parametrize("value", [2, "2", "maybe", [0], {}, math.nan, -1])
def test_what_is_no_flag_is_none(value: Any) -> None:
    assert flag(value) is None


@pytest.mark.slow
def test_an_excerpt_is_as_short_as_a_line_and_of_short_values_the_value() -> None:
    for value in (None, 3, 0.5, "cat", [1, "a", {"b": [2]}], {"a": (1, 2)}, [], {}):
        assert excerpt(value) == value
    assert len(excerpt("x" * 10**6)) <= 200
    assert len(repr(excerpt({"k" * 10**6: ["x" * 10**6] * 10**4}))) < 20_000
    deep: list = []
    for _ in range(10**5):
        deep = [deep]
    assert repr(excerpt(deep)) == "[[[Ellipsis]]]"
