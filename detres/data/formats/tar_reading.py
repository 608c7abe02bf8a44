"""Tar files of others, read so that a damaged or hostile one ends in a DataError, within bounds of time and memory.

Nothing here writes a file or follows a name: links, devices and sparse members are passed over or refused.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, BinaryIO, Literal, Self, cast

from detres.errors import DataError

MOST_LABEL_BYTES = 1 << 20
MOST_IMAGE_BYTES = 1 << 28

# A stream may be compressed. Photographs are not shrunk by it; zeros are, a thousandfold.
_MOST_UNPACKED = 20
_UNPACKED_ANYWAY = 1 << 26

# MemoryError: of a header of xz that asks for gigabytes.
DAMAGE = (
    MemoryError,
    tarfile.TarError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    RecursionError,
    zlib.error,
    lzma.LZMAError,
)
"""What tarfile raises for damage; not all of it are its own errors."""


# Headers of headers: long names and the like. Python's patterns take time by the square of their length.
_LONG_HEADERS = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)
_MOST_HEADER_BYTES = 1 << 13


class Header(tarfile.TarInfo):
    """A member's header that is sound, or a ReadError: tarfile takes a damaged one, or none, for the tar's end.

    No size is negative, at which tarfile would walk back and read for ever.
    """

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except _DAMAGED_HEADER as error:
            what = "it breaks off" if isinstance(error, _NO_HEADER) and tarfile.offset else str(error)
            raise _damage(what) from None

    def _block(self, count: int) -> int:
        if count < 0:
            raise _damage("a header states a negative size")
        return super()._block(count)  # type: ignore[misc]  # typeshed has public methods alone

    def _proc_member(self, opened: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _LONG_HEADERS and self.size > _MOST_HEADER_BYTES:
            raise _damage(f"a header has {self.size:,} bytes, for a name or the like")
        return super()._proc_member(opened)  # type: ignore[misc]  # as above


# Typeshed leaves them out.
_NO_HEADER = (tarfile.EmptyHeaderError, tarfile.TruncatedHeaderError)  # type: ignore[attr-defined]
_BAD_HEADER = (tarfile.InvalidHeaderError, tarfile.SubsequentHeaderError)  # type: ignore[attr-defined]
_DAMAGED_HEADER = (*_NO_HEADER, *_BAD_HEADER)


def _damage(what: str) -> tarfile.ReadError:
    return tarfile.ReadError(what)


def open_tar(file: Path) -> tarfile.TarFile:
    """A tar that lies on a disk uncompressed, so that members have their places in it."""
    return tarfile.open(file, "r:", tarinfo=Header)


def open_any_tar(file: Path) -> tarfile.TarFile:
    """A tar on a disk, compressed or not, as its first bytes say.

    tarfile itself tries one after the other, and takes damage for the old lzma, whose header may ask for gigabytes.
    """
    with file.open("rb") as stream:
        head = stream.read(6)
    mode: _Mode = next((mode for magic, mode in _COMPRESSED.items() if head.startswith(magic)), "r:")
    return tarfile.open(file, mode, tarinfo=Header)


_Mode = Literal["r:", "r:gz", "r:bz2", "r:xz"]
_COMPRESSED: Mapping[bytes, _Mode] = {b"\x1f\x8b": "r:gz", b"BZh": "r:bz2", b"\xfd7zXZ\x00": "r:xz"}


def content_of(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The bytes of a member that is a file."""
    content = opened.extractfile(member)
    assert content is not None, "a file has bytes"
    return content


def forget_members(opened: tarfile.TarFile) -> None:
    """Of those read so far: tarfile would remember every one of a million."""
    opened.members = []  # type: ignore[attr-defined]  # typeshed leaves it out


def plain_files(opened: tarfile.TarFile, *, size: int) -> Iterator[tarfile.TarInfo]:
    """The members that are files, whole within the tar's `size` bytes."""
    for member in opened:
        forget_members(opened)
        if not member.isreg():
            continue
        _check_whole(member)
        if not 0 <= member.size <= size - member.offset_data:
            raise _damage(f"{member.name[:80]!a} has more bytes than are there")
        yield member


def stream_files(source: BinaryIO) -> Iterator[tuple[str, int, Callable[[], bytes]]]:
    """Name and size of each file in a tar that can only be read onwards, compressed or not, and how to read it."""
    counted = _Counted(source)
    with tarfile.open(fileobj=cast(IO[bytes], counted), mode="r|*", tarinfo=Header) as opened:
        for member in opened:
            forget_members(opened)
            _check_growth(opened.offset, counted.count)
            if not member.isreg():
                continue
            _check_whole(member)
            if not 0 <= member.size <= MOST_IMAGE_BYTES:
                raise _damage(f"{member.name[:80]!a} states {member.size:,} bytes, no image's size")
            yield member.name, member.size, partial(_bytes_of, opened, member)


def _bytes_of(opened: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    return content_of(opened, member).read()


def _check_whole(member: tarfile.TarInfo) -> None:
    # Of a sparse file a few bytes stand for as many zeros as it likes.
    if member.issparse():
        raise _damage(f"{member.name[:80]!a} is sparse; write it whole")


def _check_growth(unpacked: int, packed: int) -> None:
    if unpacked > _UNPACKED_ANYWAY + _MOST_UNPACKED * packed:
        raise _damage(f"it unpacks to more than {_MOST_UNPACKED} times its size")


class _Counted:
    """A stream that knows how many bytes were read of it."""

    def __init__(self, source: BinaryIO) -> None:
        self.source, self.count = source, 0

    def read(self, size: int = -1) -> bytes:
        data = self.source.read(size)
        self.count += len(data)
        return data


@contextmanager
def told_of_tar(shown: str, mend: str) -> Iterator[None]:
    """Turn whatever a damaged tar raises into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except DAMAGE as error:
        what = error.args[0] if error.args else type(error).__name__
        raise DataError(f"{shown}: {what if len(str(what)) < 200 else 'it is damaged'}; {mend}") from None
