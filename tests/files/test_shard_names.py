"""Shards are named by text in braces, whose size is known before it is made."""

from __future__ import annotations

import itertools

import pytest

from detres.errors import DataError
from detres.files.shard_names import expand_names, is_address, programs_in


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a.tar", ["a.tar"]),
        ("a-{08..10}.tar", ["a-08.tar", "a-09.tar", "a-10.tar"]),
        ("{3..1}{a..c..2}", ["3a", "3c", "2a", "2c", "1a", "1c"]),
        ("a{,b{0..1}}::c", ["a", "ab0", "ab1", "c"]),
        (r"\{0..1\}{x}", ["{0..1}{x}"]),
        ("", [""]),
    ],
)
def test_braces_stand_for_several_names(text: str, names: list[str]) -> None:
    assert expand_names(text) == names


def test_names_are_those_of_the_usual_library() -> None:
    braceexpand = pytest.importorskip("braceexpand").braceexpand
    pieces = ("a", "-", "{0..3}", "{01..03}", "{c..a}", "{9..1..3}", "{x,y{0..1}}", "{,z}", "{w}")
    for parts in itertools.product(pieces, repeat=3):
        text = "".join(parts)
        assert expand_names(text) == list(braceexpand(text))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{0..99999999999}.tar", "stands for 100,000,000,000 shards"),
        ("{0..9}" * 30, "more than 10\\^18"),
        ("{a,b}" * 400, "more than 10\\^18"),
        ("{a", "opened that is not closed"),
        ("a}", "closed that was not opened"),
        ("{a," * 100 + "b" + "}" * 100, "deep in each other"),
        ("x" * 10_000, "at most 4096 characters"),
        ("::" * 2000 + "{0..999}" * 2, "shards"),
    ],
)
def test_what_would_cost_too_much_is_refused_at_once(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        expand_names(text)


def test_programs_are_found_however_their_names_are_put_together() -> None:
    assert programs_in("{p,q}ipe:x") == ["pipe:x"]
    assert programs_in("s{3,4}://a") == ["s3://a", "s4://a"]
    assert programs_in("a.tar::file:///etc/passwd") == ["file:///etc/passwd"]
    assert programs_in("https://a.org/{0..1}.tar") == []


@pytest.mark.parametrize(
    "name", ["http://", "https://a b", "https://a'", "https://a;b", "https://$(a)", "ftp://a", "a"]
)
def test_an_address_means_nothing_but_itself(name: str) -> None:
    assert not is_address(name)
    assert is_address("https://a.org/b%20c.tar?d=e&f=g")
