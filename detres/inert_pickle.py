"""Files of torch.save, read without running or importing anything they name.

Such a file is a pickle and, beside it, the bytes of its tensors. Here tensors, dicts, lists, numbers and text are
rebuilt; every other object becomes an Inert, which is nothing but the name of what was asked for. So a training
checkpoint can be read whose optimizer, history or config are of classes that are not installed, or not trusted.
Both forms are read: the archive that torch writes since 1.6, and the stream of pickles that it wrote before.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self

import torch
from torch import Tensor

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

# (dtype, key, number of elements) -> a tensor of one dimension that holds, or will hold, the bytes under this key.
_FindStorage = Callable[[torch.dtype, str, int], Tensor]


class Inert:
    """Stands for an object of a class that is not built. It takes whatever a pickle does to it, and does nothing.

    name: module and class, as the file names them. made: how many of them there are.
    """

    name: ClassVar[str] = ""
    made: ClassVar[int] = 0

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        cls.made += 1
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Self:
        return self

    def __repr__(self) -> str:
        return f"<an inert {self.name}>"

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        pass

    extend = add = append


def read_torch_file(path: Path) -> tuple[Any, dict[str, int]]:
    """What torch.save wrote to a file, tensors on the CPU, and how many objects of each class were left inert.

    Raises ValueError that says why where it is no such file, or cannot be read to its end.
    """
    try:
        with path.open("rb") as file:
            is_archive = file.read(4) == b"PK\x03\x04"
        reader = _read_archive if is_archive else _read_stream
        return reader(path)
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise ValueError(f"not a file of torch.save that can be read ({str(error) or type(error).__name__})") from error


def _read_archive(path: Path) -> tuple[Any, dict[str, int]]:
    if not zipfile.is_zipfile(path):
        raise ValueError("the archive's end is missing")
    with zipfile.ZipFile(path) as archive:
        pickles = [name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"]
        if len(pickles) != 1:
            raise ValueError(f"an archive with {len(pickles)} files data.pkl, expected 1")
        folder = pickles[0].removesuffix("data.pkl")

        def read(name: str) -> bytes:
            # torch compresses nothing; a compressed entry could be any number of times as large as the file.
            if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{name} is compressed")
            return archive.read(name)

        if f"{folder}byteorder" in archive.namelist() and read(f"{folder}byteorder") != b"little":
            raise ValueError("written on a big-endian machine")
        storages: dict[str, Tensor] = {}

        def find(dtype: torch.dtype, key: str, count: int) -> Tensor:
            if key not in storages:
                stored = bytearray(read(f"{folder}data/{key}"))
                # torch makes no tensor of an empty buffer.
                storages[key] = torch.frombuffer(stored, dtype=dtype) if stored else torch.empty(0, dtype=dtype)
            return storages[key]

        unpickler = _Unpickler(io.BytesIO(read(pickles[0])), find)
        return unpickler.load(), unpickler.inert()


def _read_stream(path: Path) -> tuple[Any, dict[str, int]]:
    """Three pickles that say how it was written, that of the object, one of a list of keys, and the bytes by key."""
    size, storages = path.stat().st_size, dict[str, Tensor]()

    def find(dtype: torch.dtype, key: str, count: int) -> Tensor:
        if key not in storages:
            if not 0 <= count * dtype.itemsize <= size:
                raise ValueError(f"a tensor of {count} elements in a file of {size} bytes")
            storages[key] = torch.zeros(count, dtype=dtype)
        return storages[key]

    with path.open("rb") as file:
        magic, version, system = (_Unpickler(file, find).load() for _ in range(3))
        if (magic, version) != (_STREAM_MAGIC, _STREAM_VERSION):
            raise ValueError("it does not begin as one")
        if not system["little_endian"]:
            raise ValueError("written on a big-endian machine")
        unpickler = _Unpickler(file, find)
        content = unpickler.load()
        for key in _Unpickler(file, find).load():
            _fill(storages[key], file)
    return content, unpickler.inert()


def _fill(storage: Tensor, file: BinaryIO) -> None:
    (count,) = struct.unpack("<q", file.read(8))
    if count != len(storage):
        raise ValueError(f"{count} elements where {len(storage)} belong")
    if count and file.readinto(storage.view(torch.uint8).numpy()) != storage.nbytes:
        raise ValueError("it breaks off")


class _Unpickler(pickle.Unpickler):
    """Knows how to rebuild tensors and ordered dicts, and nothing else.

    What it hands to a pickle are bound methods and classes of its own: a pickle may set attributes on what it gets,
    and must not change a function that others use.
    """

    def __init__(self, file: BinaryIO, find_storage: _FindStorage) -> None:
        # latin1 maps each byte to one character: how text of Python 2 survives.
        super().__init__(file, encoding="latin1")
        self._find_storage = find_storage
        self._inert: dict[str, type[Inert]] = {}

    def inert(self) -> dict[str, int]:
        """How many objects of each class were asked for; one where only the class itself was."""
        return {name: max(kind.made, 1) for name, kind in self._inert.items()}

    def find_class(self, module: str, name: str) -> Any:
        match module, name:
            case "collections", "OrderedDict":
                return OrderedDict
            case "torch" | "torch.cuda", _ if name in _DTYPES:
                return _DTYPES[name]
            case "torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2":
                return self._rebuild_tensor
            case "torch._utils", "_rebuild_parameter":
                return self._rebuild_parameter
        full = f"{module}.{name}"
        if full not in self._inert:
            self._inert[full] = type("Inert", (Inert,), {"name": full, "made": 0})
        return self._inert[full]

    def persistent_load(self, pid: Any) -> Any:
        """pid: what torch writes in place of a tensor's bytes and, in a stream, of a module's class."""
        kind, what, *rest = pid
        if kind == "module":
            return what
        key, _location, count, *view = rest
        if kind != "storage" or not isinstance(what, torch.dtype) or any(part is not None for part in view):
            raise ValueError(f"it refers to a {kind} of {what}, expected tensors")
        storage = self._find_storage(what, key, count)
        if storage.dtype != what or len(storage) != count:
            raise ValueError(f"{len(storage)} elements of {storage.dtype} where {count} of {what} belong")
        return storage

    def _rebuild_tensor(self, storage: Tensor, offset: int, size: Any, stride: Any, *_: Any) -> Tensor:
        return torch.as_strided(storage, size, stride, offset)

    def _rebuild_parameter(self, data: Tensor, *_: Any) -> Tensor:
        return data
