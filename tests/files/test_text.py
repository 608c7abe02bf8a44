"""Text files of any editor."""

from pathlib import Path

import pytest

from detres.errors import DataError
from detres.files.text import read_lines, read_text


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_the_same_whatever_unicode_form_and_line_ends_it_has(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.txt").write_bytes("café\r\n猫\rdog\n".encode(encoding))
    assert read_text(tmp_path / "a.txt") == "café\n猫\ndog\n"


def test_an_empty_file_is_empty_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").touch()
    assert read_text(tmp_path / "a.txt") == ""


@pytest.mark.parametrize("content", ["cat\n狗\n".encode("gbk"), "cat\ncafé\n".encode("latin-1"), b"\xff\xfea\x00b"])
def test_a_code_page_is_refused_with_the_file_and_the_encoding(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.txt: line \d is no UTF-(8|16) text"):
        read_text(tmp_path / "a.txt")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.txt: cannot be read \(No such file"):
        read_text(tmp_path / "b.txt")


def test_zero_bytes_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("cat\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"a\.txt: it holds zero bytes, as UTF-16 without a byte order mark does"):
        read_text(tmp_path / "a.txt")


def test_lines_are_those_that_hold_anything_and_no_letter_ends_one(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(" a \r\n\n\t\nb c\u2028d\x0ce", encoding="utf-8")
    assert read_lines(tmp_path / "a.txt") == ["a", "b c\u2028d\x0ce"]
