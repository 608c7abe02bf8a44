"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from detres.errors import UserError
from detres.files.whole import clean_dead_partials, clean_partials, whole_file, whole_path, write_whole


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "folder" / "some.txt"
    write_whole(file, "first")

    def full_disk(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(UserError, match=r"some\.txt: cannot be written: No space left on device"):
        write_whole(file, "second")
    assert file.read_text() == "first"
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.skipif(os.name == "nt", reason="cannot open folders")
def test_a_file_that_is_to_last_is_flushed_before_it_gets_its_name_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[bool, bool]] = []

    def flush(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        flushed.append((is_folder, (tmp_path / "a").exists()))
        if is_folder:
            raise OSError(errno.EINVAL, "this file system flushes no folders")

    monkeypatch.setattr("os.fsync", flush)
    with whole_file(tmp_path / "a", durable=False):
        pass
    assert flushed == []
    (tmp_path / "a").unlink()
    write_whole(tmp_path / "a", "text")
    assert flushed == [(False, False), (True, True)]
    (tmp_path / "a").unlink()
    with whole_path(tmp_path / "a") as partial:
        partial.touch()
    assert flushed[2:] == [(False, False), (True, True)]


def test_an_interrupted_writer_leaves_nothing(tmp_path: Path) -> None:
    def write() -> None:
        with whole_file(tmp_path / "a") as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_no_folder_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written: "):
        write_whole(tmp_path / "file" / "a.txt", "text")


def test_what_a_killed_writer_left_is_cleaned_and_nothing_else(tmp_path: Path) -> None:
    with whole_file(tmp_path / "a.json") as stream:
        left = next(tmp_path.iterdir())
        stream.write(b"1")
        (tmp_path / f"{left.name.removesuffix('.partial')}.left.partial").touch()
    (tmp_path / ".hidden").touch()
    clean_partials(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [".hidden", "a.json"]


def test_what_dead_writers_left_is_cleaned_and_a_living_one_is_spared(tmp_path: Path) -> None:
    dead, young, other = (tmp_path / name for name in (".a.json.k2j4_x00.partial", ".a.json.k2j4_x01.partial", ".a.b"))
    for file in (dead, young, other):
        file.write_text("half")
        if file != young:
            os.utime(file, (0, 0))
    with whole_file(tmp_path / "a.json") as stream:
        stream.write(b"first")
        stream.flush()
        (written,) = set(tmp_path.glob(".a.json.*.partial")) - {young, dead}
        os.utime(written, (0, 0))
        clean_dead_partials(tmp_path)
    assert (tmp_path / "a.json").read_text() == "first"
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", young.name, other.name}
