"""A number that pictures share, but for a few bits, which look almost the same: whatever their size and their file.

A *difference hash*: of the picture in grey, shrunk to 8 rows of 9, a bit for each pixel that is brighter than its right
neighbour. Brightness, contrast, sizes and compression hardly change it.
"""

from __future__ import annotations

import os

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.data.images.jpeg_scaling import decode_scaled
from detres.data.images.reading import read_bytes

_ROWS, _COLUMNS = 8, 9
# A pixel of the shrunken picture is a mean of at least eight by eight, so that a JPEG may be decoded small.
_CELL = 8
_LEAST = 0.25  # grey levels: means of one colour differ by what they are rounded
_WEIGHTS = np.left_shift(np.uint64(1), np.arange(64, dtype=np.uint64))


def difference_hash(path: str | os.PathLike[str], exif: bool = True, *, max_pixels: int | None = None) -> int:
    """The 64 bits of a picture's file. exif, max_pixels: as read_image takes them. Raises DataError as that does."""
    at_least = (_ROWS * _CELL, _COLUMNS * _CELL)
    pixels, _ = decode_scaled(read_bytes(path).tobytes(), str(path), at_least, exif, max_pixels=max_pixels)
    return hash_of_pixels(pixels)


def hash_of_pixels(rgb: NDArray[np.uint8]) -> int:
    """The 64 bits of a picture, (H, W, 3) uint8; row by row, the lowest bit first."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.float32)
    small = cv2.resize(grey, (_COLUMNS, _ROWS), interpolation=cv2.INTER_AREA)
    brighter = (small[:, :-1] > small[:, 1:] + _LEAST).ravel()
    return int(_WEIGHTS[brighter].sum(dtype=np.uint64))
