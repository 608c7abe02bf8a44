"""Files of torch.save, read without running or importing anything they name.

Such a file is a pickle and, beside it, the bytes of its tensors. Here tensors, dicts, lists, numbers and text are
rebuilt; everything else becomes an Inert, which is nothing but the name of what was asked for. So a training
checkpoint can be read whose optimizer, history or config are of classes that are not installed, or not trusted.
Both forms are read: the archive that torch writes since 1.6, and the stream of pickles that it wrote before.
"""

from __future__ import annotations

import math
import mmap
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from detres.files.zips import BoundedZip
from detres.pickles.machine import PickleMachine
from detres.pickles.values import Builder, Inert, checked_key, described
from detres.system_errors import out_of_memory

__all__ = ["Inert", "read_torch_file"]

# The stream begins with these two numbers.
_STREAM_MAGIC, _STREAM_VERSION = 0x1950A86A20F9469CFC6C, 1001

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_MOST_DIMENSIONS = 64

# (dtype, key, number of elements) -> a tensor of one dimension that holds, or will hold, the bytes under this key.
_FindStorage = Callable[[torch.dtype, str, int], Tensor]


def read_torch_file(path: Path) -> tuple[Any, dict[str, int]]:
    """What torch.save wrote to a file, tensors on the CPU, and how many objects of each class were left inert.

    Raises ValueError that says why where it is no such file, or cannot be read to its end.
    """
    try:
        with path.open("rb") as file:
            is_archive = file.read(4) == b"PK\x03\x04"
        reader = _read_archive if is_archive else _read_stream
        return reader(path)
    except Exception as error:  # what a damaged file says to codecs, torch and the memory is theirs to answer
        if out_of_memory(error):
            raise
        raise ValueError(f"not a file of torch.save that can be read ({str(error) or type(error).__name__})") from error


def _read_archive(path: Path) -> tuple[Any, dict[str, int]]:
    with BoundedZip(path) as archive:
        pickles = [name for name in archive.names if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"an archive with {len(pickles)} files data.pkl, expected 1")
        folder = pickles[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in archive.names and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("written on a big-endian machine")
        storages: dict[str, Tensor] = {}

        def find(dtype: torch.dtype, key: str, count: int) -> Tensor:
            if key not in storages:
                stored = archive.read(f"{folder}data/{key}")
                # torch makes no tensor of an empty buffer.
                storages[key] = torch.frombuffer(stored, dtype=dtype) if stored else torch.empty(0, dtype=dtype)
            return storages[key]

        return _load(bytes(archive.read(pickles[0])), find, path.stat().st_size)[:2]


def _read_stream(path: Path) -> tuple[Any, dict[str, int]]:
    """Three pickles that say how it was written, that of the object, one of a list of keys, and the bytes by key."""
    size = path.stat().st_size
    if not size:
        raise ValueError("the file is empty")
    storages, claimed = dict[str, Tensor](), 0

    def find(dtype: torch.dtype, key: str, count: int) -> Tensor:
        nonlocal claimed
        if key not in storages:
            claimed += count * dtype.itemsize
            if claimed > size:
                raise ValueError(f"tensors of {claimed} bytes in a file of {size}")
            storages[key] = torch.zeros(count, dtype=dtype)
        return storages[key]

    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as stream:
        head, place = [], 0
        for _ in range(3):
            part, _, place = _load(stream, find, size, place)
            head.append(part)
        magic, version, system = head
        if (magic, version) != (_STREAM_MAGIC, _STREAM_VERSION):
            raise ValueError("it does not begin as one")
        if not isinstance(system, dict) or system.get("little_endian") is not True:
            raise ValueError("written on a big-endian machine")
        content, inert, place = _load(stream, find, size, place)
        keys, _, place = _load(stream, find, size, place)
        if not isinstance(keys, list) or {key for key in keys if isinstance(key, str)} != set(storages):
            raise ValueError("the tensors it holds are not those it speaks of")
        for key in keys:
            place = _fill(storages[key], stream, place)  # KeyError, told like all else, for what is no text
    return content, inert


def _load(data: Any, find: _FindStorage, size: int, place: int = 0) -> tuple[Any, dict[str, int], int]:
    """A pickle's value, how many of each name it left inert (one where only named), and the place behind it."""
    tensors = _Tensors(find)
    machine = PickleMachine(data, tensors.find, place=place, persistent=tensors.storage, file_length=size)
    value = machine.load()
    return value, {name: max(count, 1) for name, count in machine.inert.items()}, machine.place


def _fill(storage: Tensor, stream: mmap.mmap, place: int) -> int:
    """Copy what lies in the stream behind its number of elements; returns the place behind it."""
    count, place = int.from_bytes(stream[place : place + 8], "little", signed=True), place + 8
    if count != len(storage):
        raise ValueError(f"{count} elements where {len(storage)} belong")
    if place + storage.nbytes > len(stream):
        raise ValueError("it breaks off")
    if count:
        storage.view(torch.uint8).numpy()[:] = np.frombuffer(stream, np.uint8, storage.nbytes, place)
    return place + storage.nbytes


class _Tensors:
    """Knows how tensors and ordered dicts are rebuilt, and nothing else."""

    def __init__(self, find_storage: _FindStorage) -> None:
        self._find_storage = find_storage

    def find(self, module: str, name: str) -> Builder | Inert:
        match module, name:
            case "collections", "OrderedDict":
                return Builder("OrderedDict", _ordered_dict)
            case "torch" | "torch.cuda", _ if name in _DTYPES:
                return Builder(name, _not_called)
            case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
                return Builder("a tensor", _tensor)
            case "torch._utils", "_rebuild_parameter":
                return Builder("a parameter", _parameter)
        return Inert(f"{module}.{name}")

    def storage(self, reference: Any) -> Any:
        """reference: what torch writes in place of a tensor's bytes and, in a stream, of a module's class."""
        if not isinstance(reference, tuple) or len(reference) < 2:
            raise ValueError(f"it refers to {described(reference)}, expected tensors")
        kind, what, *rest = reference
        if kind == "module":
            return what
        if kind != "storage" or not isinstance(what, Builder) or what.name not in _DTYPES or len(rest) < 3:
            raise ValueError(f"it refers to {described(kind)} of {described(what)}, expected tensors")
        key, _location, count, *view = rest
        if not isinstance(key, str) or type(count) is not int or count < 0 or any(part is not None for part in view):
            raise ValueError(f"it refers to {described(count)} elements under {described(key)}, expected tensors")
        dtype = _DTYPES[what.name]
        storage = self._find_storage(dtype, key, count)
        if storage.dtype != dtype or len(storage) != count:
            raise ValueError(f"{len(storage)} elements of {storage.dtype} where {count} of {dtype} belong")
        return storage


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    """A view of a storage. Raises ValueError where it reaches beyond it."""
    for sides in (size, stride):
        if not isinstance(sides, tuple) or not all(type(side) is int and side >= 0 for side in sides):
            raise ValueError(f"a tensor with {described(sides)} as size or stride")
    if not isinstance(storage, Tensor) or type(offset) is not int or offset < 0 or len(size) != len(stride):
        raise ValueError(f"a tensor of {described(storage)} from {described(offset)}, sizes and strides {len(size)}")
    # That of the last element, and so the largest there is.
    reach = offset + sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    count = math.prod(size)
    # Also beside a side of 0, where torch and numpy would count no further.
    if len(size) > _MOST_DIMENSIONS or math.prod(max(side, 1) for side in size) >= 2**48:
        raise ValueError(f"a tensor of {len(size)} dimensions, whose sides are beyond any memory")
    if (reach if count else offset - 1) >= len(storage):
        raise ValueError(f"a tensor that reaches to element {reach} of {len(storage)}")
    return torch.as_strided(storage, size, stride, offset)


def _parameter(data: Any, *_: Any) -> Tensor:
    if not isinstance(data, Tensor):
        raise ValueError(f"a parameter of {described(data)}")
    return data


def _ordered_dict(items: Any = ()) -> OrderedDict[Any, Any]:
    """items: pairs, as Python 2 wrote them."""
    if not isinstance(items, list | tuple) or not all(isinstance(i, list | tuple) and len(i) == 2 for i in items):
        raise ValueError(f"an ordered dict of {described(items)}")
    return OrderedDict((checked_key(key), value) for key, value in items)


def _not_called(*_: Any) -> NoReturn:
    raise ValueError("it makes a tensor's bytes of values, which torch does not write")
