"""What may be given as a picture, and its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from detres.data.images import read_image
from detres.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

    Picture = NDArray[np.uint8] | Tensor | Image | str | Path


def read_picture(picture: Picture, *, exif: bool = True) -> NDArray[np.uint8]:
    """uint8 RGB (H, W, 3) of such an array, a PIL image or a file, turned as its EXIF says where `exif` is set.

    Raises DataError where it is none of them.
    """
    if isinstance(picture, str | Path):
        return read_image(picture, exif=exif)
    array = np.asarray(picture.convert("RGB") if hasattr(picture, "convert") else picture)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise DataError(
            f"a picture must be uint8 RGB (H, W, 3), a PIL image or a path; got {array.dtype} {array.shape}"
        )
    return array
