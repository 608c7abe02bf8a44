"""How large an image becomes: the shorter side to a length, the longer one no longer than a limit."""

from __future__ import annotations

import math
from typing import Literal, cast

import cv2
import numpy as np
from numpy.typing import NDArray

Rounding = Literal["floor", "nearest"]


def resized_size(size: tuple[int, int], shortest: int, longest: int, rounding: Rounding = "floor") -> tuple[int, int]:
    """(height, width) after scaling by the smaller of shortest / shorter side and longest / longer side.

    floor: as Faster R-CNN's descendants do, torchvision's GeneralizedRCNNTransform among them (same double-precision
    arithmetic, so the same size, where a product falls just under a whole number too); nearest: halves go up.
    """
    height, width = size
    scale = min(shortest / min(size), longest / max(size))
    half = 0.5 if rounding == "nearest" else 0.0
    return max(math.floor(height * scale + half), 1), max(math.floor(width * scale + half), 1)


def resize_image(
    rgb: NDArray[np.uint8], size: tuple[int, int], out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Bilinear, between pixel centres, without smoothing before: what the published detectors were trained with.

    out: (*size, 3), where the result is put, such as an image's place in a batch; it is what is returned then.
    """
    if rgb.shape[:2] != size:
        return cast("NDArray[np.uint8]", cv2.resize(rgb, (size[1], size[0]), dst=out, interpolation=cv2.INTER_LINEAR))
    if out is None:
        return rgb
    out[:] = rgb
    return out
