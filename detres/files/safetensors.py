"""safetensors of whoever wrote them, read within bounds; and ours, the same bytes whenever they are written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import safe_open
from torch import Tensor

from detres.system_errors import out_of_memory

# The header becomes objects, some hundred bytes for each tensor it names.
_LONGEST_HEADER, _MOST_TENSORS = 16 << 20, 100_000


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors, on the CPU, and the metadata. Raises ValueError that says why where it is no such file."""
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except Exception as error:  # its own errors, and what torch says to types and shapes it has not
        if out_of_memory(error):
            raise
        raise ValueError(str(error)) from error


def read_metadata(path: Path) -> dict[str, str]:
    """What the file says of itself, without its tensors. Raises ValueError as read_tensors does."""
    _check_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except Exception as error:  # as above
        if out_of_memory(error):
            raise
        raise ValueError(str(error)) from error


def save_file(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """As safetensors' own, which writes the metadata in another order each time: here equal content is equal bytes."""
    safetensors.torch.save_file(dict(tensors), path, dict(metadata))
    with path.open("r+b") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        if len(text) <= length:  # else the two write some character otherwise, and theirs stays
            file.seek(8)
            file.write(text.ljust(length))


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(8)
            length, size = int.from_bytes(start, "little"), path.stat().st_size
            if len(start) < 8:
                raise ValueError("the file is empty" if not size else f"it breaks off after {size} bytes")
            if length > size - 8:
                raise ValueError(f"a header of {length} bytes in a file of {size}: cut off, or no safetensors at all")
            if length > _LONGEST_HEADER:
                raise ValueError(f"a header of {length} bytes, expected {_LONGEST_HEADER} at most")
            if (count := file.read(length).count(b'"data_offsets"')) > _MOST_TENSORS:
                raise ValueError(f"{count} tensors, expected {_MOST_TENSORS} at most")
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
