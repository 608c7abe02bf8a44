"""Boxes as formats write them that have no word for what lies outside of an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detres.data.detection.annotations import AnnotatedImages


def corners_inside(images: AnnotatedImages) -> NDArray[np.float64]:
    """(T, 4) xyxy as the set's file has them, cut at the image's edges: not rounded to float32, as `boxes` are."""
    low, sides = images.annotated[:, :2], images.annotated[:, 2:]
    most = images.sizes[images.box_images()][:, ::-1].astype(np.float64)
    zero = np.zeros_like(most)
    return np.concatenate([np.clip(low, zero, most), np.clip(low + sides, zero, most)], axis=1)
