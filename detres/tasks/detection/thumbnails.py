"""Small pictures of a set's images, for pages that hold many of them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from detres.data.detection.annotations import AnnotatedImages
from detres.errors import DataError

LONGEST_SIDE = 512
"""Pixels; with this and the quality below, 200 photographs are 10 MB of a page."""
_JPEG_QUALITY = 72


def scaled_size(size: tuple[int, int], longest: int = LONGEST_SIDE) -> dict[str, int]:
    """Width and height of an image's picture on the page. size: the image's height and width."""
    shrink = min(1.0, longest / max(size))
    return {"width": max(1, round(size[1] * shrink)), "height": max(1, round(size[0] * shrink))}


def thumbnail(images: AnnotatedImages, i: int, longest: int = LONGEST_SIDE) -> tuple[bytes, str | None]:
    """The image as a small JPEG file; a grey one, and why, where it cannot be read."""
    size, why = scaled_size(images.size(i), longest), None
    rgb: NDArray[Any]
    try:
        rgb = images.pixels(i)
    except DataError as error:
        rgb, why = np.full((size["height"], size["width"], 3), 128, np.uint8), str(error)
    small = cv2.resize(rgb, (size["width"], size["height"]), interpolation=cv2.INTER_AREA)
    bgr = np.ascontiguousarray(small[..., ::-1])
    return cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])[1].tobytes(), why
