"""Archives of arrays that numpy.savez wrote, read within bounds.

numpy's own reader reserves what a header claims before it looks whether as many bytes follow.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from detres.files.zips import BoundedZip

# What savez_compressed packs unpacks to little more, since weights are noise; zeros would to a thousand times.
_SPARE = 128 << 20
_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    r"\{'descr': '(?P<kind>[<>|=]?[biufc]\d{1,2})', 'fortran_order': (?P<columns>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,18}L?(?:, ?|,?(?=\))))*)\),? ?\}\s*"
)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers by name. Raises ValueError that says why where there are others, or they cannot be read."""
    with BoundedZip(path, room=2 * path.stat().st_size + _SPARE) as archive:
        return {name.removesuffix(".npy"): _array(archive.read(name), name[:100]) for name in archive.names}


def _array(content: bytearray, name: str) -> np.ndarray:
    width = {1: 2, 2: 4, 3: 4}.get(content[6]) if len(content) > 8 and content.startswith(_MAGIC) else None
    if width is None:
        raise ValueError(f"{name} is no array of numpy's")
    start = 8 + width + int.from_bytes(content[8 : 8 + width], "little")
    header = content[8 + width : min(start, 2000)].decode("latin1")
    found = _HEADER.fullmatch(header)
    if found is None:
        raise ValueError(f"{name} is no array of numbers: {header[:80]!r}")
    try:
        kind = np.dtype(found["kind"])
    except TypeError:
        raise ValueError(f"{name} is of {found['kind']}, which is no type of numbers") from None
    shape = tuple(int(side) for side in re.findall(r"\d+", found["shape"]))
    if len(shape) > 32 or math.prod(shape) * kind.itemsize != len(content) - start:
        raise ValueError(f"{name} has shape {shape[:8]} of {kind}, and {len(content) - start} bytes")
    # reshape takes no side beyond 63 bits, not even beside one of 0.
    array = np.frombuffer(content, kind, offset=start).reshape(shape, order="F" if found["columns"] == "True" else "C")
    return array.astype(kind.newbyteorder("="), copy=False)
