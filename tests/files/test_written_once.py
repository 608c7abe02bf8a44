"""A set that detres draws itself is there whole or not at all, and what killed processes left of it goes."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from detres.errors import DataError
from detres.files.written_once import write_once

ROOT = Path(__file__).parents[2]
KILLED = """
import os, signal, sys
from pathlib import Path
from detres.files.written_once import write_once
def write(folder):
    (folder / "big").write_text("x")
    os.kill(os.getpid(), signal.SIGKILL)
write_once(Path(sys.argv[1]), "v1", write)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write(folder: Path) -> None:
    (folder / "image").write_text("x")


@pytest.mark.slow
def test_what_a_killed_process_left_goes_with_the_next_start(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, tmp_path / "set"], env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert killed.returncode == -signal.SIGKILL
    assert len(names(tmp_path)) == 1
    (tmp_path / ".set-mine").mkdir()
    write_once(tmp_path / "set", "v1", write)
    assert names(tmp_path) == [".set-mine", "set"]
    assert names(tmp_path / "set") == ["VERSION.txt", "image"]


def test_it_goes_where_the_set_is_complete_as_well(tmp_path: Path) -> None:
    write_once(tmp_path / "set", "v1", write)
    (tmp_path / ".set-abcd_123").mkdir()
    write_once(tmp_path / "set", "v1", lambda folder: pytest.fail("it was written twice"))
    assert names(tmp_path) == ["set"]


def test_the_folder_of_a_process_that_still_writes_stays(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slowly(folder: Path) -> None:
        begun.set()
        go_on.wait(10)
        write(folder)

    first = threading.Thread(target=write_once, args=(tmp_path / "set", "v1", slowly))
    second = threading.Thread(target=write_once, args=(tmp_path / "set", "v1", write))
    first.start()
    begun.wait(10)
    second.start()
    second.join(0.2)
    assert len(names(tmp_path)) == 1, "the second took it away, or did not wait"
    go_on.set()
    first.join()
    second.join()
    assert names(tmp_path) == ["set"]


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DataError, match=r"cannot be written there \(No space left on device\); make room"):
        write_once(tmp_path / "set", "v1", full)
    assert names(tmp_path) == []


def test_another_version_is_replaced_where_that_is_asked_for_and_a_foreign_folder_never(tmp_path: Path) -> None:
    write_once(tmp_path / "set", "v1", write, stamp=".of")
    with pytest.raises(DataError, match="it holds v1, this is v2"):
        write_once(tmp_path / "set", "v2", write, stamp=".of")
    write_once(tmp_path / "set", "v2", lambda folder: (folder / "new").touch(), stamp=".of", renew=True)
    assert names(tmp_path / "set") == [".of", "new"]
    (tmp_path / "mine").mkdir()
    write(tmp_path / "mine")
    with pytest.raises(DataError, match="it holds something else"):
        write_once(tmp_path / "mine", "v1", write, stamp=".of", renew=True)
    assert names(tmp_path / "mine") == ["image"]
