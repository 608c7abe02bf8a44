"""What may be given as a picture, and its pixels; in what numbers it may be computed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detres.data.images.orientation import tiff_orientation, turn
from detres.data.images.pillow import rgb_of
from detres.data.images.reading import read_image
from detres.errors import ConfigError, DataError

_TIFF_ORIENTATION = 274

if TYPE_CHECKING:
    from torch import Tensor

    Picture = NDArray[np.uint8] | Tensor | Image.Image | str | Path


def read_picture(picture: Picture, *, exif: bool = True, max_pixels: int | None = None) -> NDArray[np.uint8]:
    """uint8 RGB (H, W, 3) of such an array, a PIL image or a file, turned as its EXIF says where `exif` is set.

    A PIL image is turned as its file would be; one that was turned before says so itself. max_pixels: of a file, as
    read_image takes it.
    Raises DataError where it is none of them.
    """
    if isinstance(picture, str | Path):
        return read_image(picture, exif=exif, max_pixels=max_pixels)
    if isinstance(picture, Image.Image):
        upright = picture.size
        tags: Any = picture  # Pillow reads a TIFF as a class of its own, which has them.
        tag = tags.tag_v2.get(_TIFF_ORIENTATION, 1) if picture.format == "TIFF" else 1
        rgb = rgb_of(picture, "the PIL image given")
        if tag >= 5 and rgb.shape[:2] != upright[::-1]:
            raise DataError(
                f"the PIL image given is a TIFF of mode {picture.mode} with orientation {tag}, whose pixels Pillow "
                "mixes up while it turns them; give the file's path instead"
            )
        # Decoded by now, so that EXIF data behind the pixels are known, too.
        orientation = tiff_orientation(picture.info.get("exif") or b"") if exif else 1
        return turn(rgb, orientation)
    array = np.asarray(picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise DataError(
            f"a picture must be uint8 RGB (H, W, 3), a PIL image or a path; got {array.dtype} {array.shape}"
        )
    return array


def check_batch(batch: int) -> None:
    """Raise ConfigError for a batch of no pictures."""
    if batch < 1:
        raise ConfigError(f"batch is {batch}, expected 1 or more")
