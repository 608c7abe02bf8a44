"""Whatever classes and images are called, each has a file of its own, in the folder it belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from detres.files.names import file_stem, file_stems
from detres.files.whole import write_whole

HOSTILE = [
    "a/b",
    "a\\b",
    "a_b",
    "..",
    ".",
    "",
    "../../etc/passwd",
    "/abs",
    ".hidden",
    "two\nlines",
    "nul\0",
    "x" * 300,
    "x" * 301,
    "猫" * 200,
    "Cat",
    "cat",
    "cat_2",
    "caf\u00e9",
    "cafe\u0301",
    "c:d?",
    "\udcff.bytes",
    "cat",
]


def test_plain_names_stay_as_they_are() -> None:
    names = ["person", "traffic light", "猫", "a.b", "000012"]
    assert file_stems(names) == names


def test_hostile_names_get_files_of_their_own_in_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    stems = file_stems(HOSTILE)
    for n, stem in enumerate(stems):
        written = write_whole(folder / f"comp4_det_test_{stem}.txt", str(n))
        assert written.resolve().parent == folder.resolve()
        write_whole(folder / f"{stem}.jpg", str(n))
    assert len(list(folder.iterdir())) == 2 * len(HOSTILE), "none is hidden and none is another's"
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    for n, stem in enumerate(stems):
        assert (folder / f"{stem}.jpg").read_text() == str(n)
    assert len({stem.casefold() for stem in stems}) == len(stems)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_stem_is_its_own_stem(name: str) -> None:
    assert file_stem(file_stem(name)) == file_stem(name)
    assert len(file_stem(name).encode("utf-8", "surrogateescape")) <= 120


def test_a_name_that_is_there_is_not_given_to_another() -> None:
    assert file_stems(["a", "a", "a_2", "a"]) == ["a", "a_3", "a_2", "a_4"]
