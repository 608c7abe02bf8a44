"""TensorBoard's events as bytes, so that a run needs neither that package nor protobuf to write them.

A field of a message is its number and kind, then its value (protobuf.dev/programming-guides/encoding); what the numbers
stand for say tensorboard/compat/proto/event.proto and summary.proto. A file is records in TFRecord's form, each with
checksums of its length and of its data.
"""

from __future__ import annotations

import struct
from functools import cache

FILE_VERSION = "brain.Event:2"
"""What the first event of a file says, and nothing else."""

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5  # kinds of fields
_RGB = 3  # channels
_START = 1  # SessionLog.START


def version_event(wall_time: float) -> bytes:
    """wall_time, here and below: seconds since 1970."""
    return _wall_time(wall_time) + _bytes(3, FILE_VERSION.encode())


def start_event(wall_time: float, step: int) -> bytes:
    """Tells readers to drop what they have from this step on."""
    return _wall_time(wall_time) + _varint(2, step) + _bytes(7, _varint(1, _START))


def scalar_event(wall_time: float, step: int, name: str, value: float) -> bytes:
    """value: kept as float32."""
    return _summary_event(wall_time, step, name, _key(2, _FLOAT) + struct.pack("<f", _as_float32(value)))


def picture_event(wall_time: float, step: int, name: str, png: bytes, height: int, width: int) -> bytes:
    image = _varint(1, height) + _varint(2, width) + _varint(3, _RGB) + _bytes(4, png)
    return _summary_event(wall_time, step, name, _bytes(4, image))


def record(data: bytes) -> bytes:
    """One event as it stands in a file."""
    length = struct.pack("<Q", len(data))
    return length + _checksum(length) + data + _checksum(data)


def crc32c(data: bytes) -> int:
    """Castagnoli's checksum (RFC 3720, appendix B.4), which zlib does not have."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


@cache
def _table() -> tuple[int, ...]:
    """The checksum's step for each of the 256 bytes."""
    table = []
    for entry in range(256):
        for _ in range(8):
            entry = (entry >> 1) ^ (0x82F63B78 if entry & 1 else 0)
        table.append(entry)
    return tuple(table)


def _checksum(data: bytes) -> bytes:
    """Turned and moved, as TFRecord has it, since data may hold checksums themselves."""
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _summary_event(wall_time: float, step: int, name: str, value: bytes) -> bytes:
    tag = _bytes(1, name.encode(errors="replace"))  # A reader drops what is no UTF-8.
    return _wall_time(wall_time) + _varint(2, step) + _bytes(5, _bytes(1, tag + value))


def _wall_time(seconds: float) -> bytes:
    return _key(1, _DOUBLE) + struct.pack("<d", seconds)


def _as_float32(value: float) -> float:
    """struct refuses what float32 cannot hold; that is an infinity."""
    try:
        return struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _varint(field: int, value: int) -> bytes:
    return _key(field, _VARINT) + _number(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _key(field, _BYTES) + _number(len(value)) + value


def _key(field: int, kind: int) -> bytes:
    return _number(field << 3 | kind)


def _number(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last have the eighth. value: from 0."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
