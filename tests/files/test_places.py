"""Addresses and what no file can be called are refused as they were given."""

from __future__ import annotations

from pathlib import Path

import pytest

from detres.errors import UserError
from detres.files.places import is_address, local_place


@pytest.mark.parametrize("text", ["https://host/a b/c.yaml", "s3://bucket/key", "http:/lost/slash", "file:///etc/x"])
def test_an_address_is_refused_as_it_was_given(text: str) -> None:
    with pytest.raises(UserError, match=f"^--data {text}: this is an address"):
        local_place(text, f"--data {text}")


@pytest.mark.parametrize("text", ["a.yaml", "C:/data", "a.json:images", "x:y", "/abs", ".", ""])
def test_a_path_is_none(text: str) -> None:
    assert not is_address(text)
    assert local_place(text, text) == Path(text)


def test_a_folder_that_is_called_so_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s3:" / "x").mkdir(parents=True)
    assert local_place("s3:/x", "x") == Path("s3:/x")


@pytest.mark.parametrize("text", ["a\0b", "x" * 256, "x/" * 3000, "~nobody-of-this-name/x"])
def test_what_no_file_can_be_called_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        local_place(text, text)
