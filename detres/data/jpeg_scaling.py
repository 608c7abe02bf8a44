"""JPEGs decoded at half, a quarter or an eighth of their size, by leaving out high frequencies of their transform.

H, W height and width in pixels. A *denominator* d of 1, 2, 4 or 8 divides both, rounded up; pixel (i, j) of what is
decoded then covers rows i * d to (i + 1) * d of the image, and columns likewise.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detres.data.images import ImageHeader, decode_image

Denominator = Literal[1, 2, 4, 8]
_DENOMINATORS: tuple[Denominator, ...] = (8, 4, 2, 1)

_START_OF_IMAGE, _END_OF_IMAGE, _START_OF_SCAN, _APP1 = 0xD8, 0xD9, 0xDA, 0xE1
# C4, C8 and CC lie among the frames' markers but begin tables.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_EXIF, _ORIENTATION = b"Exif\0\0", 0x0112


def decode_scaled(
    data: bytes, source: str, at_least: tuple[float, float], exif: bool = True
) -> tuple[NDArray[np.uint8], Denominator]:
    """Decode an image at the smallest scale that is no smaller than `at_least` (height, width, as read).

    Returns uint8 RGB and the denominator: 1 for whatever is no JPEG or is smaller than that.
    source: names the bytes in errors. Raises DataError where they cannot be decoded.
    """
    denominator = largest_denominator(size_as_read(data, exif), at_least)
    return decode_image(np.frombuffer(data, np.uint8), source, exif, denominator), denominator


def largest_denominator(size: tuple[int, int] | None, at_least: tuple[float, float]) -> Denominator:
    """The largest by which `size` may be divided without falling below `at_least`; 1 where the size is not known."""
    if size is None:
        return 1
    return next(
        (d for d in _DENOMINATORS if all(have >= d * need for have, need in zip(size, at_least, strict=True))), 1
    )


def size_as_read(data: bytes, exif: bool = True) -> tuple[int, int] | None:
    """(height, width) that a JPEG's bytes will have once they are decoded, turned by EXIF; None for anything else."""
    header = read_jpeg_header(data)
    return None if header is None else header.size_as_read(exif)


def read_jpeg_header(data: bytes) -> ImageHeader | None:
    """Size and orientation from the segments before a JPEG's pixels, in a few microseconds.

    None where the bytes are no JPEG, break off, or leave the height to be told after the pixels.
    Source: ITU-T T.81, annex B.
    """
    if data[:2] != bytes((0xFF, _START_OF_IMAGE)):
        return None
    at, orientation = 2, 1
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # one of any number of filling bytes
            at += 1
            continue
        if marker in _FRAMES:
            height, width = (int.from_bytes(data[start : start + 2], "big") for start in (at + 5, at + 7))
            return ImageHeader((height, width), orientation) if height and width else None
        if marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return None
        if marker == _APP1 and data.startswith(_EXIF, at + 4):
            orientation = _orientation(data[at + 4 + len(_EXIF) : at + 2 + length])
        at += 2 + length
    return None


def _orientation(tiff: bytes) -> int:
    """The orientation in a TIFF header's first directory; 1 where there is none or it makes no sense."""
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)

    directory = number(4, 4)
    for entry in range(number(directory, 2)):
        start = directory + 2 + 12 * entry
        if start + 12 > len(tiff):
            break
        if number(start, 2) == _ORIENTATION:
            value = number(start + 8, 2)
            return value if 1 <= value <= 8 else 1
    return 1
