"""From an image file to uint8 RGB, and an image file's size without decoding it.

H, W height and width in pixels. EXIF orientation says how a camera was held; 5 to 8 exchange height and width.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from detres.data.jpeg_segments import APP1, FRAMES, START_OF_SCAN, frame_size, jpeg_segments
from detres.errors import DataError

_EXIF_ORIENTATION = 0x0112
# IMREAD_REDUCED_COLOR_2 and so on, less their bit that asks for BGR.
_REDUCED = {1: 0, 2: 16, 4: 32, 8: 64}

# Enough of a JPEG for its tables and its frame's size, where no profile or thumbnail stands before them.
_HEAD = 4096

_limit_lock = threading.Lock()
_limits_lifted: list[int | None] = []


@dataclass(frozen=True)
class ImageHeader:
    """size: (height, width) as stored. orientation: the EXIF tag, 1 where there is none."""

    size: tuple[int, int]
    orientation: int

    def size_as_read(self, exif: bool) -> tuple[int, int]:
        height, width = self.size
        return (width, height) if exif and self.orientation >= 5 else (height, width)


def read_image(path: str | os.PathLike[str], exif: bool = True) -> NDArray[np.uint8]:
    """Decode a file to (H, W, 3) uint8 RGB; grey, alpha, palette, CMYK and 16-bit images too (alpha is left out).

    exif: turn the image as its EXIF orientation says.
    Raises DataError where the file is missing or is no image OpenCV can decode.
    """
    # Read by Python, because cv2.imread fails on names outside the locale and prints to the terminal.
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None
    return decode_image(data, str(path), exif)


def decode_image(
    data: NDArray[np.uint8], source: str, exif: bool = True, denominator: Literal[1, 2, 4, 8] = 1
) -> NDArray[np.uint8]:
    """read_image for bytes already at hand; `source` names them in the error.

    denominator: what a JPEG's sides are divided by (and rounded up) while it is decoded; of no use for other formats.
    """
    flags = cv2.IMREAD_COLOR_RGB | _REDUCED[denominator] | (0 if exif else cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        image = cv2.imdecode(data, flags) if len(data) else None
    except cv2.error:
        image = None
    if image is None:
        raise DataError(f"{source}: this is no image that can be decoded ({len(data)} bytes); convert or remove it")
    return image


def is_whole(path: str | os.PathLike[str], exif: bool = True) -> bool:
    """Whether an image can be decoded to its last row: OpenCV fills up a JPEG that breaks off, and says nothing."""
    try:
        read_image(path, exif)
        with of_any_size(), Image.open(path) as image:
            image.load()
    except (DataError, OSError, SyntaxError, ValueError):
        return False
    return True


def read_header(path: str | os.PathLike[str]) -> ImageHeader:
    """Size and orientation, from the file's first bytes.

    Raises DataError where the file is missing or is no image.
    """
    try:
        with open(path, "rb", buffering=0) as stream:
            plain = _plain_jpeg_size(stream.read(_HEAD))
        if plain is not None:
            return ImageHeader(plain, 1)
        with of_any_size(), Image.open(path) as image:
            width, height = image.size
            # Pillow would decode all of a PNG to look for EXIF data behind the pixels. TIFF's orientation is applied
            # by Pillow and OpenCV in any case.
            if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
                return ImageHeader((height, width), 1)
            return ImageHeader((height, width), int(image.getexif().get(_EXIF_ORIENTATION, 1)))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: this is no image: {error}") from None


def _plain_jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Height and width of a JPEG by its markers, a third of Pillow's time; None for all that is not as plain as most.

    That is what has APP1 (EXIF, XMP), samples of another depth than a byte, or a scan that begins beyond `head`.
    """
    size = None
    for marker, start, _ in jpeg_segments(head):
        if marker == START_OF_SCAN:
            return size
        if marker in FRAMES and head[start] == 8 and head[start + 5 : start + 6] in (b"\1", b"\3", b"\4"):
            size = frame_size(head, start)
        if marker == APP1 or (size is not None and 0 in size):
            return None
    return None


@contextmanager
def of_any_size() -> Iterator[None]:
    """Pillow's limit on pixels is off while any thread is in here, and as it was afterwards.

    It guards against decoding a bomb. A header decodes nothing, and whatever is decoded passes OpenCV's own limit
    (2^30 pixels) first; aerial pictures are beyond Pillow's.
    """
    with _limit_lock:
        _limits_lifted.append(Image.MAX_IMAGE_PIXELS)
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _limit_lock:
            # The first to come put the limit here, whoever came later None: the last to leave takes the limit.
            Image.MAX_IMAGE_PIXELS = _limits_lifted.pop()
