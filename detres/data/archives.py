"""Archives of publishers: whether one is whole, and unpacking it so that an interruption costs nothing twice."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from detres.data.formats.tar_reading import DAMAGE, Header, content_of, forget_members, open_any_tar
from detres.errors import DataError

ARCHIVE_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")

_CHUNK = 1 << 20
_HALF = ".unpacking"
_LEAST = 512  # what a file takes of a disk, however small it is


@dataclass(frozen=True)
class Archive:
    """A file of a publisher.

    size: in bytes. holds: what is there once it is unpacked, below the set's folder. md5: its checksum, where it is
    known. folder: where in the set's folder it is unpacked. nested: it holds tar files, each of which is unpacked
    into a folder of its name.
    """

    name: str
    size: int
    url: str
    holds: str
    md5: str | None = None
    folder: str = "."
    nested: bool = False


def what_is_wrong(file: Path, archive: Archive, *, checksum: bool = True) -> str | None:
    """Why this file cannot be the archive, or None. checksum: read all of it, where its checksum is known."""
    if not file.is_file():
        return f"{file}: missing; it is {archive.url} ({archive.size} bytes)"
    size = file.stat().st_size
    if size != archive.size:
        return f"{file}: {size} bytes, expected {archive.size}; the download is not complete"
    if checksum and archive.md5 is not None:
        with file.open("rb") as stream:
            found = hashlib.file_digest(stream, "md5").hexdigest()
        if found != archive.md5:
            return f"{file}: its MD5 is {found}, expected {archive.md5}; it is damaged, download it again"
    return None


def is_unpacked(archive: Archive, target: Path) -> bool:
    return (target / f".{archive.name}.unpacked").is_file()


def is_half_unpacked(archive: Archive, target: Path) -> bool:
    return (target / f".{archive.name}{_HALF}").is_file()


def refuse_half_unpacked(root: Path) -> None:
    """Raise DataError where an archive's unpacking into `root` was begun and not ended."""
    half = sorted(mark.name[1 : -len(_HALF)] for mark in root.glob(f".*{_HALF}"))
    if half:
        raise DataError(
            f"{root}: {', '.join(half)} is half unpacked; run `detres prepare` for this set again, which goes on "
            "where it stopped"
        )


def unpack_archive(archive: Archive, source: Path, target: Path) -> None:
    """Unpack an archive to its folder below `target`, leaving marks there of where it stands.

    Raises DataError where it is damaged, or does not hold what it should.
    """
    half = target / f".{archive.name}{_HALF}"
    target.mkdir(parents=True, exist_ok=True)
    half.touch()
    (unpack_nested if archive.nested else unpack)(source, target / archive.folder)
    if not (target / archive.holds).exists():
        raise DataError(
            f"{archive.name}: after unpacking, {target / archive.holds} is not there; is it the right file?"
        )
    os.replace(half, target / f".{archive.name}.unpacked")


def unpack(archive: Path, target: Path, *, room: int | None = None) -> None:
    """Unpack a tar or zip, leaving alone every file that is already there in full.

    room: how many bytes its files may have in all. DataError where it is damaged, or has more.
    """
    left = room
    with _told_by_name(archive):
        for name, size, stream in _members(archive):
            left = left if left is None else left - max(size, _LEAST)
            if left is not None and left < 0:
                raise DataError(
                    f"{archive}: it unpacks to more than {room} bytes, which is all there is room for, or far more "
                    "than a set of its size holds; unpack it by hand, if it is yours, and name the folder"
                )
            _unpack_one(target, name, size, stream)


def unpack_nested(archive: Path, target: Path) -> None:
    """Unpack a tar of tars, NAME.tar into target/NAME/; of what is there in full, headers alone are read."""
    with _told_by_name(archive), open_any_tar(archive) as outer:
        for member in outer:
            if not member.isfile() or not member.name.endswith(".tar"):
                continue
            stream = outer.extractfile(member)
            folder = _below(target, PurePosixPath(member.name).stem)
            with tarfile.open(fileobj=stream, mode="r:", tarinfo=Header) as inner:
                for name, size, open_member in _tar_members(inner):
                    _unpack_one(folder, name, size, open_member)


@contextmanager
def _told_by_name(archive: Path) -> Iterator[None]:
    """Turn what a damaged archive raises into a DataError that names it."""
    try:
        yield
    except DataError:
        raise
    except (*DAMAGE, zipfile.BadZipFile, struct.error, RuntimeError, LookupError) as error:
        raise DataError(f"{archive}: cannot be unpacked: {error}; download it again") from None


def _members(archive: Path) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    """The files in an archive: name, size and how to open each."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as packed:
            for item in packed.infolist():
                if not item.is_dir():
                    yield item.filename, item.file_size, partial(packed.open, item)
        return
    with open_any_tar(archive) as opened:
        yield from _tar_members(opened)


def _tar_members(opened: tarfile.TarFile) -> Iterator[tuple[str, int, Callable[[], IO[bytes]]]]:
    for member in opened:
        if member.issparse():  # a few bytes would fill the disk with zeros
            raise tarfile.ReadError(f"{member.name[:80]!a} is sparse")
        if member.isfile():
            yield member.name, member.size, partial(content_of, opened, member)
        forget_members(opened)


def _unpack_one(target: Path, name: str, size: int, open_member: Callable[[], IO[bytes]]) -> None:
    file = _below(target, name)
    if file.is_file() and file.stat().st_size == size:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # Not whole_file: what fails here is the archive as often as the disk.
    partial = file.with_name(file.name + ".part")
    try:
        with open_member() as stream, partial.open("wb") as out:
            shutil.copyfileobj(stream, out, _CHUNK)
        os.replace(partial, file)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _below(target: Path, name: str) -> Path:
    """Where a member goes; DataError where its name leads elsewhere, or nowhere."""
    parts = PurePosixPath(name).parts
    if not parts or parts[0] == "/" or ".." in parts:
        raise DataError(f"{name[:80]!a}: the archive wants to write outside {target}; it is not the publisher's")
    return target.joinpath(*parts)
