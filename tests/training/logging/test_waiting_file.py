import os
import resource
import signal

import pytest

from detres.training.logging.waiting_file import WaitingFile


def test_what_is_written_is_there_at_once(tmp_path):
    file = WaitingFile(tmp_path / "log.txt")
    file.write_line("één")
    file.write_line("caf\udce9.jpg")
    assert (tmp_path / "log.txt").read_bytes() == "één\n".encode() + b"caf\xe9.jpg\n"
    file.close()


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="the system has no limits of files")
def test_what_a_full_disk_refuses_is_written_once_there_is_room_whole_and_in_order(tmp_path):
    file = WaitingFile(tmp_path / "log.txt")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (25, hard))
    try:
        for number in range(5):
            file.write_line(f"line {number:04d}")
        assert file.error is not None
        assert len((tmp_path / "log.txt").read_bytes()) == 25
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    file.write_line("the last")
    assert file.error is None
    assert (tmp_path / "log.txt").read_text().splitlines() == [*(f"line {i:04d}" for i in range(5)), "the last"]
    file.close()


def test_a_folder_that_is_not_to_be_had_is_an_error_that_is_kept(tmp_path):
    (tmp_path / "taken").write_text("")
    file = WaitingFile(tmp_path / "taken" / "log.txt")
    file.write_line("a")
    assert isinstance(file.error, OSError)
    os.unlink(tmp_path / "taken")
    file.write_line("b")
    assert file.error is None
    assert (tmp_path / "taken" / "log.txt").read_text() == "a\nb\n"
    file.close()
