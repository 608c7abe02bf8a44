"""Names from outside become names of one file each, inside the folder they are written to."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detres.files.names import safe_name, unique_names

HOSTILE = (
    "../../etc/passwd",
    "/etc/passwd",
    "..",
    ".",
    "",
    " ",
    "a/b",
    "a\\b",
    "..\\b",
    "nul\0here",
    "line\nbreak",
    "\x1b[2J",
    "C:",
    "CON",
    "nul.txt",
    ".hidden",
    "x" * 300,
    "犬" * 200,
    "\ud800",
    "\udc80",
    "trailing. . ",
    "…",
    "\u2028",
)


@pytest.mark.parametrize("name", HOSTILE, ids=[ascii(name[:20]) for name in HOSTILE])
def test_a_hostile_name_becomes_one_file_inside_its_folder(name: str, tmp_path: Path) -> None:
    safe = safe_name(name)

    (tmp_path / safe).touch()
    assert os.listdir(tmp_path) == [safe]
    assert len(safe.encode()) <= 120
    assert not safe.startswith(".")
    assert safe_name(safe) == safe, "what is safe stays as it is"


@pytest.mark.parametrize("name", ["dog", "traffic light", "Löwe", "犬", "n01440764", "a.b", "don't", "x+y=(z)"])
def test_a_plain_name_stays_as_it_is(name: str) -> None:
    assert safe_name(name) == name


def test_long_names_that_begin_alike_stay_apart() -> None:
    assert safe_name("x" * 300 + "a") != safe_name("x" * 300 + "b")


def test_a_cut_name_keeps_its_beginning_and_whole_characters() -> None:
    assert safe_name("犬" * 100, most=20).startswith("犬犬犬-")


def test_a_plain_name_keeps_itself_before_one_that_becomes_it() -> None:
    assert unique_names(["a/b", "a_b"]) == ["a_b-2", "a_b"]


def test_names_that_one_system_takes_for_one_file_are_kept_apart() -> None:
    names = unique_names(["Dog", "dog", "dog", "caf\u00e9", "cafe\u0301", "dog-2"])

    assert names[0] == "Dog"
    assert names[-1] == "dog-2"
    assert len({name.casefold() for name in names}) == 6


def test_any_names_become_as_many_files(tmp_path: Path) -> None:
    names = unique_names([*HOSTILE, *HOSTILE, "a_b"])
    for name in names:
        (tmp_path / name).touch()

    assert sorted(os.listdir(tmp_path)) == sorted(names)
    assert len(set(names)) == 2 * len(HOSTILE) + 1
