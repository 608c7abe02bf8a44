"""JPEGs decoded at half, a quarter or an eighth of their size, by leaving out high frequencies of their transform.

H, W height and width in pixels. A *denominator* d of 1, 2, 4 or 8 divides both, rounded up; pixel (i, j) of what is
decoded then covers rows i * d to (i + 1) * d of the image, and columns likewise.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detres.data.images.jpeg_segments import FRAMES, frame_size, jpeg_segments
from detres.data.images.orientation import file_orientation, read_at
from detres.data.images.reading import ImageHeader, decode_image

Denominator = Literal[1, 2, 4, 8]
_DENOMINATORS: tuple[Denominator, ...] = (8, 4, 2, 1)


def decode_scaled(
    data: bytes,
    source: str,
    at_least: tuple[float, float],
    exif: bool = True,
    *,
    max_pixels: int | None = None,
) -> tuple[NDArray[np.uint8], Denominator]:
    """Decode an image at the smallest scale that is no smaller than `at_least` (height, width, as read).

    Returns uint8 RGB and the denominator: 1 for whatever is no JPEG or is smaller than that.
    source: names the bytes in errors. max_pixels: of the whole image, as images.read_image takes it.
    Raises DataError where they cannot be decoded.
    """
    denominator = largest_denominator(size_as_read(data, exif), at_least)
    encoded = np.frombuffer(data, np.uint8)
    return decode_image(encoded, source, exif, denominator, max_pixels=max_pixels), denominator


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
    """
    for marker, start, _ in jpeg_segments(data):
        if marker in FRAMES:
            size = frame_size(data, start)
            return ImageHeader(size, file_orientation(read_at(data))) if all(size) else None
    return None
