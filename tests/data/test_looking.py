"""What is seen of a folder at a glance."""

import os
from pathlib import Path

import pytest

from detres.data import looking
from detres.data.looking import look
from detres.errors import DataError


def test_folders_and_files_are_told_apart_and_hidden_ones_left_out(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.xml", ".hidden.xml", "c.txt"):
        (tmp_path / name).touch()
    for name in ("Labels", "__MACOSX", ".git"):
        (tmp_path / name).mkdir()
    here = look(tmp_path)
    assert (here.folders, here.files) == (("Labels",), ("a.xml", "b.JPG", "c.txt"))
    assert (here.images(), here.ending(".xml"), here.folder(("annotations", "labels"))) == (
        ["b.JPG"],
        ["a.xml"],
        "Labels",
    )
    assert here.counted(here.images(), "image") == "1 image"
    assert look(tmp_path / "absent").files == look(tmp_path / "a.xml").files == ()


def test_a_large_folder_is_looked_at_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        (tmp_path / f"{number}.png").touch()
    monkeypatch.setattr(looking, "_MOST_ENTRIES", 3)
    here = look(tmp_path)
    assert (len(here.files), here.counted(here.images(), "image")) == (3, "at least 3 images")


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every folder")
def test_a_folder_that_may_not_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0)
    with pytest.raises(DataError, match="cannot be read"):
        look(tmp_path / "shut")
