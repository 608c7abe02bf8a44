"""A checksum of named tensors and the text beside them, kept in that text: it goes where the file goes.

A file that opens says only that its header is whole. Of 167 MB of weights it takes an eighth of a second.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

CHECKSUM_KEY = "checksum"
_KIND = "crc32:"
# Digits with the name of their kind or without, in any of the usual bases.
_OF_ANY_KIND = re.compile(r"[\w-]+[:-][\w+/]+=*|[0-9a-fA-F]{8,}|(?=.*\d)[\w+/]{16,}=*")


def with_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata with the checksum of all that is to be written. tensors: on the CPU, contiguous."""
    text = _without(metadata)
    return text | {CHECKSUM_KEY: _checksum(tensors, text)}


def is_as_written(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bool | None:
    """Whether what was read is what was written; None where the metadata have no checksum, or one of another kind.

    What is no checksum of any kind was damaged.
    """
    stated = metadata.get(CHECKSUM_KEY)
    if stated is None or (not stated.startswith(_KIND) and _OF_ANY_KIND.fullmatch(stated)):
        return None
    return stated == _checksum(tensors, _without(metadata))


def _without(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: text for key, text in metadata.items() if key != CHECKSUM_KEY}


def _checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Of names, types, shapes, bytes and text, in the order of names: a file may hold them in any."""
    value = 0
    for key, text in sorted(metadata.items()):
        value = zlib.crc32(f"{key}\0{text}\0".encode(), value)
    for name, tensor in sorted(tensors.items()):
        value = zlib.crc32(f"{name}\0{tensor.dtype}{tuple(tensor.shape)}".encode(), value)
        value = zlib.crc32(tensor.reshape(-1).view(torch.uint8).numpy().data, value)
    return f"{_KIND}{value:08x}"


def sha256(path: Path) -> str:
    """Of a file, as publishers of weights state it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
