"""An archive gives what was put into it, and no more than a file of its length may hold."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from detres.files.npz import read_npz
from detres.files.zips import BoundedZip


def archive(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return path


def test_entries_come_back(tmp_path: Path) -> None:
    path = archive(tmp_path / "a", {"a": b"one", "b/c": b"", "d": bytes(3 << 20)})
    with BoundedZip(path) as opened:
        assert opened.names == ("a", "b/c", "d")
        assert [bytes(opened.read(name)) for name in opened.names] == [b"one", b"", bytes(3 << 20)]
        with pytest.raises(ValueError, match="holds no 'e'"):
            opened.read("e")


@pytest.mark.slow
def test_nothing_unpacks_to_more_than_there_is_room_for(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "a", {"a": bytes(200 << 20)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1 << 20
    with BoundedZip(bomb) as opened, pytest.raises(ValueError, match="a is compressed"):
        opened.read("a")
    with BoundedZip(bomb, room=128 << 20) as opened, pytest.raises(ValueError, match="more than a file of this length"):
        opened.read("a")
    with BoundedZip(bomb, room=256 << 20) as opened:
        assert len(opened.read("a")) == 200 << 20


def test_the_same_bytes_under_many_names_count_each_time(tmp_path: Path) -> None:
    """Every entry of the directory points at the first one's bytes."""
    path = archive(tmp_path / "a", {f"n{k}": bytes(1000 if k == 0 else 0) for k in range(10)})
    content = path.read_bytes()
    head, directory = content[: content.index(b"PK\x01\x02")], content[content.index(b"PK\x01\x02") :]
    first = directory[20:28] + directory[16:20]
    parts = directory.split(b"PK\x01\x02")[1:]
    same = [p[:12] + first[8:] + first[:8] + p[24:38] + bytes(4) + p[42:] for p in parts]
    path.write_bytes(head + b"PK\x01\x02" + b"PK\x01\x02".join(same))
    with BoundedZip(path) as opened, pytest.raises(ValueError, match=r"n\d"):
        [opened.read(name) for name in opened.names]


@pytest.mark.parametrize("width", ["<I", "<Q"])
def test_a_directory_of_millions_is_not_read(tmp_path: Path, width: str) -> None:
    path = archive(tmp_path / "a", {"a": b"x"})
    content = bytearray(path.read_bytes())
    end = content.rindex(b"PK\x05\x06")
    if width == "<I":
        content[end + 12 : end + 16] = struct.pack(width, 50 << 20)
    else:
        content[end:end] = b"PK\x06\x06" + bytes(36) + struct.pack(width, 50 << 20) + bytes(8)
    path.write_bytes(content)
    with pytest.raises(ValueError, match="a directory of 52428800 bytes"):
        BoundedZip(path)


def npy(header: str, content: bytes, version: bytes = b"\x01\x00") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header.encode() + content


@pytest.mark.parametrize("compressed", [False, True])
def test_arrays_come_back_as_numpy_wrote_them(tmp_path: Path, compressed: bool) -> None:
    arrays = {
        "one": np.arange(6, dtype=np.float32).reshape(2, 3),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "scalar": np.array(3, np.int64),
        "row": np.arange(3, dtype=">i2"),
        "empty": np.zeros((0, 4), np.uint8),
        "flags": np.array([True, False]),
        "deep.name/x": np.ones((1, 1, 1, 1, 1), np.float16),
    }
    (np.savez_compressed if compressed else np.savez)(tmp_path / "a.npz", **arrays)
    read = read_npz(tmp_path / "a.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == array.dtype.newbyteorder("=")
        assert read[name].shape == array.shape


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (10000000000,), }\n", b""), "has shape"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }\n", bytes(12)), "and 12 bytes"),
        (npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", b"\x80\x04N."), "no array of numbers"),
        (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }\n", bytes(4)), "no array of numbers"),
        (npy("(" * 5000, b""), "no array of numbers"),
        (npy("{'descr': '<f9', 'fortran_order': False, 'shape': (1,), }\n", bytes(9)), "no type of numbers"),
        (npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 999999999999999999), }\n", b""), ""),
        (
            npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", bytes(4), b"\x07\x00"),
            "no array of numpy",
        ),
        (b"\x93NUMPY", "no array of numpy"),
        (b"\x93NUMPY\x01\x00\xff\xff{'descr'", "no array of numbers"),
    ],
)
def test_arrays_that_claim_what_is_not_there_are_told(tmp_path: Path, entry: bytes, said: str) -> None:
    path = archive(tmp_path / "a.npz", {"x.npy": entry})
    if not said:
        assert read_npz(path)["x"].shape == (0, 999999999999999999)
        return
    with pytest.raises(ValueError, match=said):
        read_npz(path)


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(100))
    whole = stream.getvalue()
    for content in (b"", b"PK", b"PK\x03\x04 nothing", whole[:-30], whole[:200], whole[300:]):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"archive|missing|breaks|CRC|cannot be read"):
            read_npz(tmp_path / "a.npz")
