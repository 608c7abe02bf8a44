"""How a camera was held: the EXIF orientation in an image file's bytes, and pixels turned by it.

Read here and nowhere else, for headers, decoded files and PIL images alike. OpenCV's and Pillow's own readers disagree
(XMP, values that EXIF does not know, numbers of another type, WebP before OpenCV 4.13), and a size that is turned
where the pixels are not puts every box in a wrong place. So the rule is EXIF 2.3's letter: one SHORT from 1 to 8 in the
first directory; whatever else stands there, or nowhere, counts as 1. Formats: JPEG, PNG and WebP. TIFF's own
orientation is applied by both libraries in any case; other formats have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.data.images.chunks import PNG, ReadAt, png_chunks, webp_chunks
from detres.data.images.jpeg_segments import EXIF, read_head

_ORIENTATION, _SHORT = 0x0112, 3


def file_orientation(read: ReadAt) -> int:
    """1 to 8, of the file that `read` reads."""
    head = read(0, 12)
    if head.startswith(b"\xff\xd8"):
        return tiff_orientation(read_head(read)[1])
    if head.startswith(PNG):
        return tiff_orientation(_chunk(read, png_chunks(read), b"eXIf"))
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return tiff_orientation(_chunk(read, webp_chunks(read), b"EXIF"))
    return 1


def read_at(data: bytes | NDArray[np.uint8]) -> ReadAt:
    """A reader of bytes already at hand."""
    if isinstance(data, bytes):
        return lambda at, count: data[at : at + count]
    return lambda at, count: data[at : at + count].tobytes()


def tiff_orientation(exif: bytes) -> int:
    """1 to 8, from the TIFF header that EXIF data are, with or without the name that JPEG has before them."""
    tiff = exif.removeprefix(EXIF)
    order: Literal["little", "big"] = "little" if tiff[:2] == b"II" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(tiff[start : start + size], order)

    if tiff[:4] not in (b"II*\0", b"MM\0*"):
        return 1
    directory = number(4, 4)
    for entry in range(number(directory, 2)):
        start = directory + 2 + 12 * entry
        if start + 12 > len(tiff):
            break
        if number(start, 2) == _ORIENTATION:
            is_one_short = number(start + 2, 2) == _SHORT and number(start + 4, 4) == 1
            value = number(start + 8, 2)
            return value if is_one_short and 1 <= value <= 8 else 1
    return 1


def turn(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, 3) as it is to be looked at; orientations 5 to 8 exchange height and width."""
    if orientation >= 5:
        image = cast("NDArray[np.uint8]", cv2.transpose(image))
    # OpenCV's names for a flip: 0 upside down, 1 left and right, -1 both.
    flip = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}.get(orientation)
    return image if flip is None else cast("NDArray[np.uint8]", cv2.flip(image, flip))


def _chunk(read: ReadAt, chunks: Iterator[tuple[bytes, int, int]], wanted: bytes) -> bytes:
    """The content of the first chunk of this name, as far as it is there."""
    return next((read(start, min(length, 1 << 20)) for name, start, length in chunks if name == wanted), b"")
