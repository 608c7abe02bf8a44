"""What Pillow is used for: sizes of files that are no plain JPEG, images that break off, and PIL images' pixels.

Its limit on pixels is the process's own, and threads of loaders share it: here it is changed while anybody needs it,
and then put back.
"""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from detres.errors import DataError

_lock = threading.Lock()
_limits_lifted: list[int | None] = []

_JPEG, _END_OF_JPEG = b"\xff\xd8", b"\xff\xd9"


# Read by Pillow's own decoders. Of others, PostScript would start a program on what a file holds.
_FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA", "SUN", "PCX")

# The brands of the container that phones save HEVC's pictures in.
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")


def open_image(source: str | os.PathLike[str] | IO[bytes]) -> Image.Image:
    """Pillow's Image.open, for files of any size and of formats that are decoded by a library and nothing else.

    Raises whatever damage leads to.
    """
    Image.init()
    with of_any_size():
        return Image.open(source, formats=[name for name in _FORMATS if name in Image.OPEN])


def why_no_image(path: str | os.PathLike[str], error: Exception) -> str:
    """What is wrong with a file that open_image raised an error for, and what to do where that is known."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(12)
    except (OSError, ValueError):  # Which is what the error is of.
        head = b""
    if head[4:8] == b"ftyp" and head[8:] in _HEIF:
        return "this is an HEIC image, which is not read here; save it as JPEG (phones can be set to)"
    if isinstance(error, UnidentifiedImageError):
        return "this is no image that is read here"
    return f"this is no image: {error}"


def rgb_of(image: Image.Image, source: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB with the values that OpenCV reads from the same file.

    16 bits are brought to eight by their upper byte; Pillow's own conversion would cut them off at 255.
    Raises DataError for float and 32-bit images, whose range of brightness nothing says, and where Pillow cannot
    decode.
    """
    if image.format and image.format not in _FORMATS:
        raise DataError(f"{source}: {image.format} is no format of pixels that is decoded here; save it as PNG")
    if image.mode in ("I", "F"):
        raise DataError(
            f"{source}: a picture of {'float' if image.mode == 'F' else '32-bit whole'} numbers does not say which of "
            "them is white; convert it to 8 or 16 bits"
        )
    if image.mode.startswith("I;16"):
        grey = (np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


@contextmanager
def of_any_size() -> Iterator[None]:
    """Pillow's limit on pixels is off while any thread is in here, and as it was afterwards.

    It guards against decoding a bomb. A header decodes nothing, and whatever is decoded passes our own limit first;
    aerial pictures are beyond Pillow's.
    """
    with _lock:
        _limits_lifted.append(Image.MAX_IMAGE_PIXELS)
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _lock:
            # The first to come put the limit here, whoever came later None: the last to leave takes the limit.
            Image.MAX_IMAGE_PIXELS = _limits_lifted.pop()


def filled_up(data: bytes, source: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB of an image that breaks off: what is missing is black, in a JPEG grey.

    Raises DataError where nothing of it can be decoded.
    """
    # After an end of the image, libjpeg fills up what it has not seen. Pillow's own switch for this is the process's.
    end = _END_OF_JPEG if data.startswith(_JPEG) else b""
    try:
        with of_any_size(), open_image(io.BytesIO(data + end)) as image:
            try:
                image.load()
            except Exception:
                image.tile = []  # type: ignore[attr-defined]  # What was decoded until then stands in its pixels.
            rgb = rgb_of(image, source)
    except DataError:
        raise
    except Exception as error:  # its readers of some forty formats raise whatever damage leads to
        raise DataError(f"{source}: this is no image that can be decoded: {error}") from None
    if (rgb.min((0, 1)) == rgb.max((0, 1))).all():
        raise DataError(f"{source}: this image breaks off before its first pixels; replace or remove it")
    return rgb
