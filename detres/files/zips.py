"""Zip archives of others, read within bounds: directory and unpacked entries stay near the size of the file."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from detres.system_errors import out_of_memory

# Of the directory, whose every entry becomes an object of some hundred bytes: about a hundred thousand entries.
_LONGEST_DIRECTORY = 8 << 20
# The end of an archive: a signature, the directory's length, and a comment of up to 64 KiB. Where a length does not fit
# into 32 bits, another end of 56 bytes stands before it, and its locator of 20 bytes.
_TAIL = 22 + 65_535 + 20 + 56
_END, _END_64 = b"PK\x05\x06", b"PK\x06\x06"
_CHUNK = 1 << 20


class BoundedZip:
    """An archive whose entries may be read until `room` bytes are.

    room: None: the file's own length, for archives that pack nothing. Raises ValueError where it is no archive, or one
    that breaks off, or one whose entries are more than fit.
    """

    def __init__(self, path: Path, *, room: int | None = None) -> None:
        self._packs = room is not None
        self._room = path.stat().st_size if room is None else room
        _check_directory(path)
        try:
            self._archive = zipfile.ZipFile(path)
        except Exception as error:  # the parts of a damaged directory mean anything
            if out_of_memory(error):
                raise
            raise ValueError(f"a zip archive that cannot be read: {error}") from None
        self.names = tuple(self._archive.namelist())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._archive.close()

    def read(self, name: str) -> bytearray:
        """The bytes of an entry. Raises ValueError where they are not as they were written, or more than may be."""
        try:
            info = self._archive.getinfo(name)
        except KeyError:
            raise ValueError(f"the archive holds no {name[:100]!r}") from None
        if info.compress_type != zipfile.ZIP_STORED and not self._packs:
            raise ValueError(f"{name} is compressed, which torch's archives are not")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{name} is packed by method {info.compress_type}, expected deflate or none")
        self._room -= info.file_size
        if self._room < 0:
            raise ValueError(
                f"{name} unpacks to {info.file_size} bytes: its entries are more than a file of this length may hold"
                + ("; save it again without compression" if self._packs else "")
            )
        content = bytearray(info.file_size)
        try:
            with self._archive.open(info) as stream:
                _fill(memoryview(content), stream)
        except Exception as error:  # as above
            if out_of_memory(error):
                raise
            raise ValueError(f"{name} cannot be read: {error}") from None
        return content


def _fill(content: memoryview, stream: IO[bytes]) -> None:
    filled = 0
    while chunk := stream.read(_CHUNK):  # to the very end: there the checksum is compared
        content[filled : filled + len(chunk)] = chunk
        filled += len(chunk)
    if filled != len(content):
        raise ValueError("it breaks off")


def _check_directory(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(-min(_TAIL, path.stat().st_size), 2)
        tail = file.read()
    if _END not in tail:
        raise ValueError("the archive's end is missing")
    lengths = [*_lengths(tail, _END, 12, 4), *_lengths(tail, _END_64, 40, 8)]
    # All bits set: the length stands in the other end.
    longest = max((length for length in lengths if length != 0xFFFFFFFF), default=0)
    if longest > _LONGEST_DIRECTORY:
        raise ValueError(f"an archive with a directory of {longest} bytes, expected {_LONGEST_DIRECTORY} at most")


def _lengths(tail: bytes, signature: bytes, offset: int, width: int) -> list[int]:
    """What may be the directory's length, wherever the signature stands."""
    found, place = [], tail.find(signature)
    while place >= 0:
        found.append(int.from_bytes(tail[place + offset : place + offset + width], "little"))
        place = tail.find(signature, place + 1)
    return found
