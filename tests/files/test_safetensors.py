"""safetensors come back whole, and headers that announce more than there is are told before they are read."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from detres.files.safetensors import read_metadata, read_tensors


def test_tensors_and_metadata_come_back(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(0, 4, dtype=torch.bfloat16), "c": torch.tensor(3)}
    save_file(tensors, tmp_path / "a", {"x": "y"})
    read, metadata = read_tensors(tmp_path / "a")
    assert metadata == read_metadata(tmp_path / "a") == {"x": "y"}
    assert all(torch.equal(read[name], tensor) for name, tensor in tensors.items())
    save_file(tensors, tmp_path / "a")
    assert read_metadata(tmp_path / "a") == {}


@pytest.mark.slow
def test_equal_content_is_equal_bytes_in_any_process_and_order(tmp_path: Path, run_python: Callable) -> None:
    """A checkpoint is compared by whoever has sha256sum."""
    program = """
import sys, torch
from pathlib import Path
from detres.files.safetensors import save_file
keys = sys.argv[2].split(",")
metadata = {key: f"\\u00fc \\x1f \\n {key}" for key in keys}
save_file({"b": torch.ones(3), "a": torch.zeros(2, 2, dtype=torch.int64)}, Path(sys.argv[1]), metadata)
"""
    for number, keys in enumerate(("x,y,z,détres,q", "q,z,détres,x,y", "y,x,q,z,détres")):
        assert run_python("-c", program, tmp_path / str(number), keys).returncode == 0
    first, *others = ((tmp_path / str(number)).read_bytes() for number in range(3))
    assert others == [first, first]
    tensors, metadata = read_tensors(tmp_path / "0")
    assert metadata["détres"] == "ü \x1f \n détres"
    assert torch.equal(tensors["b"], torch.ones(3))


def header(text: str, content: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text.encode() + content


def tensor(shape: list[int], end: int) -> str:
    return json.dumps({"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, end]}})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the file is empty"),
        (b"\x01\x00", "breaks off after 2 bytes"),
        (struct.pack("<Q", 2**60) + b"{}", "a header of 1152921504606846976 bytes in a file of 10"),
        (header("{}" + " " * (17 << 20)), "expected 16777216 at most"),
        (header("[" * 100_000), "."),
        (header(tensor([2**40, 2**40], 4), bytes(4)), "."),
        (header(tensor([10**18], 4), bytes(4)), "."),
        (header(tensor([-1], 4), bytes(4)), "."),
        (header(tensor([1], 4)), "."),
        (header('{"__metadata__": {"a": [1]}}'), "."),
        (header("not JSON"), "."),
    ],
)
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a").write_bytes(content)
    for read in (read_tensors, read_metadata):
        with pytest.raises(ValueError, match=said):
            read(tmp_path / "a")


def test_a_header_of_too_many_tensors_is_told(tmp_path: Path) -> None:
    one = ", ".join(f'"{n}": {{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for n in range(100_001))
    (tmp_path / "a").write_bytes(header(f"{{{one}}}"))
    with pytest.raises(ValueError, match="100001 tensors, expected 100000 at most"):
        read_tensors(tmp_path / "a")
