"""Damaged and hostile tars and archives end in a DataError, write nothing outside, and cost no more than their size."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from detres.data.archives import unpack, unpack_nested
from detres.data.classification.shard_stream import read_lane
from detres.data.formats.tar_shards import load_shards
from detres.errors import DataError


def _member(name: str, content: bytes = b"0", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    return member, content


def _tar(file: Path, *members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(file, "w", format=form) as made:
        for member, content in members:
            made.addfile(member, io.BytesIO(content))
    return file


def _with_size(file: Path, size: bytes) -> Path:
    """The first member's header with another size, and a checksum that fits."""
    data = bytearray(file.read_bytes())
    data[124:136] = size
    data[148:156] = b" " * 8
    data[148:156] = f"{sum(data[:512]):06o}\0 ".encode()
    file.write_bytes(data)
    return file


def _read_both(file: Path) -> None:
    """As a set, and as a stream."""
    (file.parent / "classes.txt").write_text("a\nb\n")
    with pytest.raises(DataError, match=file.name):
        load_shards(file.parent, file.name)
    with pytest.raises(DataError, match=file.name):
        for _, _ in zip(range(3), read_lane([str(file)], 2, seed=0, epoch=0, lane=0, lanes=1), strict=False):
            pass


SOUND = (_member("a.jpg", b"x" * 600), _member("a.cls"))


@pytest.mark.parametrize(
    "size",
    [b"77777777777\0", b"\x80" + b"\0" * 3 + b"\x7f" * 8, b"\xff" * 12, b"\xff" * 10 + b"\xfe\0", b"no number!!!"],
    ids=["8 GB", "2^63", "-1", "-512", "no number"],
)
def test_a_size_that_is_none_ends_at_once(tmp_path: Path, size: bytes) -> None:
    _read_both(_with_size(_tar(tmp_path / "s.tar", *SOUND, form=tarfile.USTAR_FORMAT), size))


@pytest.mark.parametrize(
    "members",
    [
        (
            _member(
                "a.jpg", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 13}
            ),
        ),
        (_member("a.jpg", type=tarfile.GNUTYPE_SPARSE), _member("a.cls")),
        (_member("a.jpg", pax_headers={"comment": "7" * 20_000}), _member("a.cls")),
        (_member("a.jpg", pax_headers={"size": "-512"}), _member("a.cls")),
        (_member("a.jpg"), _member("a.cls"), _member("a.jpg")),
        (_member("a.jpg"), _member("a.cls", b"9" * 2_000_000)),
        (_member("a.jpg"), _member("a.json", b"[" * 100_000)),
        (_member("a.jpg"), _member("a.json", b'{"label": ' + b"9" * 5000 + b"}")),
        (_member("a.jpg"), _member("a.cls", "٣".encode())),
        (_member("a.jpg"), _member("a.cls", b"2")),
        (_member("a.jpg", type=tarfile.SYMTYPE, linkname="/etc/passwd"), _member("a.cls")),
        (_member("a.jpg", type=tarfile.CHRTYPE), _member("a.cls")),
    ],
)
def test_a_hostile_member_is_refused(tmp_path: Path, members: tuple) -> None:
    _read_both(_tar(tmp_path / "s.tar", *members))


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path: Path) -> None:
    file = _tar(tmp_path / "s.tar", *SOUND, _member("b.jpg"), _member("b.cls"), form=tarfile.USTAR_FORMAT)
    data = bytearray(file.read_bytes())
    at = data.index(b"b.jpg")
    data[at + 148] ^= 0x41
    file.write_bytes(data)
    _read_both(file)


@pytest.mark.slow
def test_a_stream_that_grows_beyond_measure_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "s.tar"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for number in range(3):
            member, content = _member(f"{number}.jpg", bytes(60_000_000))
            made.addfile(member, io.BytesIO(content))
    file.write_bytes(gzip.compress(stream.getvalue(), 1))
    with pytest.raises(DataError, match="unpacks to more than 20 times"):
        next(read_lane([str(file)], 2, seed=0, epoch=0, lane=0, lanes=1))


def test_names_that_lead_elsewhere_are_only_names(tmp_path: Path) -> None:
    names = ("../a", "/abs/b", "c/../../d")
    file = _tar(tmp_path / "s.tar", *(_member(f"{n}{e}") for n in names for e in (".jpg", ".cls")))
    (tmp_path / "classes.txt").write_text("a\n")
    images = load_shards(tmp_path, file.name)
    assert {images.path(i) for i in range(len(images))} == {file}


@pytest.mark.parametrize("unpacker", [unpack, unpack_nested])
@pytest.mark.parametrize("name", ["../x.tar", "/x.tar", "a/../../x.tar", "...tar", "."])
def test_an_archive_writes_nothing_outside(tmp_path: Path, name: str, unpacker: Callable[[Path, Path], None]) -> None:
    inner = _tar(tmp_path / "inner.tar", _member("y")).read_bytes()
    file, target = _tar(tmp_path / "made.tar", _member(name, inner)), tmp_path / "in" / "target"
    with suppress(DataError):
        unpacker(file, target)
    outside = [path for path in tmp_path.rglob("*") if not path.is_relative_to(target)]
    assert set(outside) <= {file, tmp_path / "inner.tar", tmp_path / "in"}


def test_damage_is_not_taken_for_an_old_compression_that_asks_for_gigabytes(tmp_path: Path) -> None:
    file = tmp_path / "made.tar"
    file.write_bytes(b"\x5d\x00\x00\x00\xf0" + b"\xff" * 8 + bytes(2000))
    with pytest.raises(DataError, match=r"made.tar: cannot be unpacked"):
        unpack(file, tmp_path / "target")


def test_a_damaged_or_locked_zip_is_named(tmp_path: Path) -> None:
    file = tmp_path / "made.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a", b"abc" * 1000)
    data = bytearray(file.read_bytes())
    locked = bytearray(data)
    for at in (6, data.index(b"PK\x01\x02") + 8):
        locked[at] |= 1
    data[40] ^= 0xFF
    for content in (data, locked, data[:-30]):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"made.zip: cannot be unpacked"):
            unpack(file, tmp_path / "target")
