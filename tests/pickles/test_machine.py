"""Values come back as they were, by every protocol; what would not end, or takes too much memory, is told."""

from __future__ import annotations

import pickle
import random
from collections import OrderedDict
from typing import Any

import pytest

from detres.pickles.machine import PickleMachine
from detres.pickles.values import Builder, Inert, Unfinished

PROTOCOLS = pytest.mark.parametrize("protocol", range(6))
PRIME = 2**61 - 1  # whole numbers that differ by it have one hash


def load(content: bytes, **options: Any) -> Any:
    return PickleMachine(content, lambda module, name: Inert(f"{module}.{name}"), **options).load()


def some_value(draw: random.Random, depth: int = 4) -> Any:
    inner = [] if depth == 0 else [some_value(draw, depth - 1) for _ in range(draw.randrange(5))]
    return draw.choice(
        [
            lambda: draw.choice([None, True, False, -1, 255, 256, 65536, -(2**31), 2**31, 2**80, -(2**90)]),
            lambda: draw.choice([0.5, -1e300, float("inf"), "", "text", "Größe 漢字 😀", "a\nb\\", "x" * 300]),
            lambda: draw.choice([b"", b"\x00\xff", b"y" * 300, frozenset({1, "a"}), {2, "b"}]),
            lambda: inner,
            lambda: tuple(inner),
            lambda: {draw.choice(["a", 1, 2.5, b"c", ("d", "e"), None]): value for value in inner},
            lambda: [inner, inner],
        ]
    )()


@PROTOCOLS
def test_values_come_back_as_python_reads_them(protocol: int) -> None:
    # By protocols below 3, bytes and sets are calls of functions.
    draw, called = random.Random(protocol), (bytes, set, frozenset)

    def is_plain(value: Any) -> bool:
        parts = [*value, *value.values()] if isinstance(value, dict) else value if type(value) in (list, tuple) else ()
        return not isinstance(value, called) and all(map(is_plain, parts))

    for _ in range(300):
        value = some_value(draw)
        if protocol >= 4 or is_plain(value):
            assert load(pickle.dumps(value, protocol)) == value


def test_what_is_named_stays_inert_and_is_counted() -> None:
    machine = PickleMachine(pickle.dumps([print, range(3), range(4)]), lambda m, n: Inert(f"{m}.{n}"))
    assert [value.name for value in machine.load()] == ["builtins.print", "builtins.range", "builtins.range"]
    assert machine.inert == {"builtins.print": 0, "builtins.range": 2}


def test_a_builder_is_called_with_what_it_checks_and_given_no_state() -> None:
    def build(count: Any) -> Unfinished:
        return Unfinished("a thing", lambda state: [count, state])

    def run(content: bytes) -> Any:
        return PickleMachine(content, lambda m, n: Builder("thing", build)).load()

    assert run(b"ca\nb\n(K\x01tRq\x00K\x02bh\x00\x86.") == ([1, 2], [1, 2])
    for content, said in (
        (b"ca\nb\n(K\x01tR.", "a thing without its content"),
        (b"ca\nb\n(K\x01K\x02tR.", "it calls thing with 2 arguments"),
        (b"ca\nb\nK\x02b.", "it gives a state to thing"),
        (b"ca\nb\nK\x02R.", "it calls thing with 2"),
        (b"K\x01)R.", "it calls 1"),
        (b"K\x01K\x02b.", "it gives a state to 1"),
    ):
        with pytest.raises(ValueError, match=said):
            run(content)


def test_a_pickle_stands_anywhere_and_says_where_it_ends() -> None:
    machine = PickleMachine(b"xx" + pickle.dumps("a") + b"rest", lambda m, n: Inert(n), place=2)
    assert (machine.load(), machine.place) == ("a", 2 + len(pickle.dumps("a")))
    refers = PickleMachine(b"X\x01\x00\x00\x00aQ.", lambda m, n: Inert(n), persistent=lambda pid: [pid])
    assert refers.load() == ["a"]
    with pytest.raises(ValueError, match="lies beside it, and nothing does"):
        load(b"X\x01\x00\x00\x00aQ.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\x80\x04", "it breaks off"),
        (b"\x80\x09.", "protocol 9"),
        (b"<!DOCTYPE html>", "byte 0 is 0x3c, which is no operation"),
        (b"\x82\x01.", "no operation that is read"),  # the extension registry
        (b".", "make no sense"),
        (b"h\x07.", "make no sense"),
        (b"\x80\x04\x8e\xff\xff\xff\xff\xff\x00\x00\x00.", "breaks off: 1099511627775 bytes are announced"),
        (b"T\xff\xff\xff\xff.", "breaks off: -1 bytes"),
        (b"\x80\x02\x8b\x00\x00\x00\x10.", "a whole number of 268435456 bytes"),
        (b"Ifour\n.", "where a number belongs"),
        (b"L" + b"9" * 5000 + b"L\n.", "where a number belongs"),
        (b"I" + b"9" * 70000, "breaks off in a line"),
        (b"S'no end\n.", "without quotes"),
        (b"]K\x01K\x02s.", "it sets items of"),
        (b"}(K\x01u.", "1 keys and values"),
        (b"}K\x01a.", "it appends to a dict"),
        (b"]2a.", "more than 200 deep"),
        (b"]" * 1000 + b"a" * 999 + b".", "more than 200 deep"),
        (b"]" + b"2\x86" * 50 + b".", "counted wherever they stand"),
        (b"}]N" + b"s.", "a list as a key"),
        (b"})" + b"2\x86" * 40 + b"Ns.", "a tuple as a key"),
        (b"\x8f(" + b"\x8a\x09" + (2**64).to_bytes(9, "little") + b"\x90.", "as a key of a dict or a member"),
    ],
)
def test_what_is_no_pickle_or_would_not_end_is_told(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        load(content)


def test_keys_of_one_hash_are_refused_at_once() -> None:
    many = b"".join(b"\x8a\x0a" + (k * PRIME).to_bytes(10, "little", signed=True) + b"N" for k in range(1, 50_000))
    with pytest.raises(ValueError, match="as a key"):
        load(b"}(" + many + b"u.")


@pytest.mark.slow
@pytest.mark.parametrize("code", [b"\x8f", b"}", b"(", b"]", b"K\x01\x94", b"U\x00", b"\x8b\x00\x00\x00\x00"])
def test_values_that_cost_more_than_their_bytes_end_early(code: bytes) -> None:
    with pytest.raises(ValueError, match=r"more memory than a file of its length may|more than 2000000 operations"):
        load(code * 3_000_000)


def test_a_key_that_is_remembered_by_a_huge_number_takes_no_room() -> None:
    assert load(b"X\x01\x00\x00\x00ar\xff\xff\xff\x7f.") == "a"
    with pytest.raises(ValueError, match="as a key"):
        load(b"Np" + b"1" * 30 + b"\n.")


def test_ordered_dicts_take_items_and_the_state_torch_gives_them() -> None:
    def run(content: bytes) -> Any:
        return PickleMachine(content, lambda m, n: Builder("OrderedDict", OrderedDict)).load()

    value = OrderedDict(a=1, b=[2])
    value._metadata = {"": {"version": 1}}
    assert run(pickle.dumps(value)) == value
