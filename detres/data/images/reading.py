"""From an image file to uint8 RGB, and an image file's size without decoding it.

H, W height and width in pixels. EXIF orientation (orientation.py) says how a camera was held; 5 to 8 exchange height
and width.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from dataclasses import dataclass
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.data.images.chunks import PNG, ReadAt, png_breaks_off
from detres.data.images.jpeg_segments import read_head
from detres.data.images.orientation import file_orientation, read_at, tiff_orientation, turn
from detres.data.images.pillow import filled_up, of_any_size, open_image, why_no_image
from detres.errors import DataError

# What an image may have unless the caller says otherwise. Photographs have a byte for two to twenty pixels; a few
# kilobytes that claim a billion are a mistake or a bomb. 17 million are let pass whatever their file's size, and of 268
# million the RGB alone is 0.8 GB. No key raises what a file may have in bytes.
_PIXELS_A_BYTE, _FEW_PIXELS, _MOST_PIXELS = 32, 1 << 24, 1 << 28
_MOST_BYTES = 1 << 31
# A row costs Pillow a pointer, so that one of a pixel or two costs what these do.
_PIXELS_A_ROW = 8
# 24 GB of RGB: what a file claims beyond is no picture.
_NOBODYS_PIXELS = 1 << 33

# IMREAD_REDUCED_COLOR_2 and so on, less their bit that asks for BGR.
_REDUCED = {1: 0, 2: 16, 4: 32, 8: 64}

# What the system says of a place, and not of what a file there holds.
_SYSTEMS_OWN = {errno.ELOOP, errno.ENOTDIR, errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE}

# Enough of most files to know their size and orientation by.
_HEAD = 4096


@dataclass(frozen=True)
class ImageHeader:
    """size: (height, width) as stored. orientation: the EXIF tag, 1 where there is none."""

    size: tuple[int, int]
    orientation: int

    def size_as_read(self, exif: bool) -> tuple[int, int]:
        height, width = self.size
        return (width, height) if exif and self.orientation >= 5 else (height, width)


def read_image(path: str | os.PathLike[str], exif: bool = True, *, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """Decode a file to (H, W, 3) uint8 RGB; grey, alpha, palette, CMYK and 16-bit images too (alpha is left out).

    exif: turn the image as its EXIF orientation says. max_pixels: of more, nothing is decoded; None: 268 million, and
    above 17 million no more than 32 for each byte of the file. An image that breaks off is filled up (is_whole tells).
    Raises DataError where the file is missing, is no image or has too many pixels.
    """
    return read_filled(path, exif, max_pixels=max_pixels)[0]


def read_filled(
    path: str | os.PathLike[str], exif: bool = True, *, max_pixels: int | None = None
) -> tuple[NDArray[np.uint8], bool]:
    """read_image, and whether the image broke off and was filled up, as far as OpenCV says so (4.11 does not)."""
    data = read_bytes(path)
    return _decode(data, str(path), exif, 1, max_pixels)


def read_bytes(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """A file's bytes. Raises DataError where it is missing, no file (a pipe would wait for ever) or too large."""
    # Read by Python, because cv2.imread fails on names outside the locale and prints to the terminal.
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: this is a {_kind(status.st_mode)}, not a file")
        if status.st_size > _MOST_BYTES:
            raise DataError(f"{path}: {status.st_size} bytes are too many for an image ({_MOST_BYTES} at most)")
        return np.fromfile(path, dtype=np.uint8)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise _not_read(path, error) from None


def decode_image(
    data: NDArray[np.uint8],
    source: str,
    exif: bool = True,
    denominator: Literal[1, 2, 4, 8] = 1,
    *,
    max_pixels: int | None = None,
) -> NDArray[np.uint8]:
    """read_image for bytes already at hand; `source` names them in the error.

    denominator: what a JPEG's sides are divided by (and rounded up) while it is decoded; of no use for other formats.
    """
    return _decode(data, source, exif, denominator, max_pixels)[0]


def _decode(
    data: NDArray[np.uint8], source: str, exif: bool, denominator: Literal[1, 2, 4, 8], max_pixels: int | None
) -> tuple[NDArray[np.uint8], bool]:
    """The pixels, and whether some of them are no more than filling."""
    read = read_at(data)
    _refuse_too_many(_stored_size(read, data, source), len(data), max_pixels, source)
    # OpenCV turns nothing: orientation.py is what sizes and boxes go by, too.
    flags = cv2.IMREAD_COLOR_RGB | _REDUCED[denominator] | cv2.IMREAD_IGNORE_ORIENTATION
    image = None if read(0, len(PNG)) == PNG and png_breaks_off(read, len(data)) else _by_opencv(data, flags)
    filled = image is None  # older ones fill up a JPEG that breaks off, later ones refuse it
    if image is None:
        image = filled_up(data.tobytes(), source)[::denominator, ::denominator]
    return (turn(image, file_orientation(read)) if exif else image), filled


def _by_opencv(data: NDArray[np.uint8], flags: int) -> NDArray[np.uint8] | None:
    try:
        return cast("NDArray[np.uint8] | None", cv2.imdecode(data, flags))
    except cv2.error:
        return None


def is_whole(path: str | os.PathLike[str], exif: bool = True, *, max_pixels: int | None = None) -> bool:
    """Whether an image can be decoded to its last row, as none can that had to be filled up."""
    try:
        if read_filled(path, exif, max_pixels=max_pixels)[1]:
            return False
        with of_any_size(), open_image(path) as image:
            image.load()
    except Exception:  # Pillow's readers of some forty formats raise whatever damage leads to
        return False
    return True


def read_header(path: str | os.PathLike[str], *, max_pixels: int | None = None) -> ImageHeader:
    """Size and orientation, from the file's first bytes.

    Raises DataError where the file is missing, is no image or has more pixels than read_image would decode.
    """
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{path}: this is a {_kind(status.st_mode)}, not a file")
        header = _read_header(path)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except DataError:
        raise
    except Exception as error:  # Pillow's readers of some forty formats raise whatever damage leads to
        if isinstance(error, OSError) and error.errno in _SYSTEMS_OWN:
            raise _not_read(path, error) from None
        raise DataError(f"{path}: {why_no_image(path, error)}") from None
    _refuse_too_many(header.size, status.st_size, max_pixels, str(path))
    return header


def _read_header(path: str | os.PathLike[str]) -> ImageHeader:
    """Raises whatever damage leads to."""
    with open(path, "rb", buffering=0) as stream:
        head = stream.read(_HEAD)

        def read(at: int, count: int) -> bytes:
            if at + count <= len(head):
                return head[at : at + count]
            stream.seek(at)
            return stream.read(count)

        size, exif = read_head(read)
        if size is not None:
            return ImageHeader(size, tiff_orientation(exif))
        orientation = file_orientation(read)
    with of_any_size(), open_image(path) as image:
        width, height = image.size
        return ImageHeader((height, width), orientation)


def _not_read(path: str | os.PathLike[str], error: OSError | ValueError) -> DataError:
    if getattr(error, "errno", None) == errno.ELOOP:
        return DataError(f"{path}: this is a link that leads in a circle; put the image there, or remove it")
    return DataError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}")


def _kind(mode: int) -> str:
    return "folder" if stat.S_ISDIR(mode) else "pipe, socket or device"


def _stored_size(read: ReadAt, data: NDArray[np.uint8], source: str) -> tuple[int, int]:
    """Height and width that a file states, before anything of it is decoded; DataError where it is no image."""
    size = read_head(read)[0]
    if size is not None:
        return size
    head = read(0, 24)
    if head.startswith(PNG) and head[12:16] == b"IHDR":
        return int.from_bytes(head[20:24], "big"), int.from_bytes(head[16:20], "big")
    try:
        with of_any_size(), open_image(io.BytesIO(data.data)) as image:
            return image.height, image.width
    except Exception:  # see read_header
        message = f"{source}: this is no image that can be decoded ({len(data)} bytes); convert or remove it"
        raise DataError(message) from None


def _refuse_too_many(size: tuple[int, int], count: int, max_pixels: int | None, source: str) -> None:
    """count: of the file's bytes."""
    height, width = size
    usual = min(_MOST_PIXELS, max(_FEW_PIXELS, _PIXELS_A_BYTE * count))
    pixels = height * (width if max_pixels is not None else max(width, _PIXELS_A_ROW))
    if pixels > (usual if max_pixels is None else max_pixels):
        allowed = f"data.max_pixels={max_pixels}" if max_pixels is not None else f"are read from {count} bytes"
        mend = f"set data.max_pixels={height * width} where there is memory for it, or cut the image into parts"
        if height * width > _NOBODYS_PIXELS:
            mend = "no machine holds so many, and its first bytes may be damaged: convert or remove it"
        raise DataError(f"{source}: {width}x{height} pixels are more than {allowed}; {mend}")
