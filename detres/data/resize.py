"""Resizing by the shorter side as a transform of albumentations, which importing this file imports."""

from __future__ import annotations

import os
from typing import Any, Literal

# albumentations asks the registry for its newest version on import unless this is set.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import numpy as np
from albumentations.core.transforms_interface import BaseTransformInitSchema, DualTransform
from albumentations.core.type_definitions import Targets
from numpy.typing import NDArray

from detres.data.sizes import resize_image, resized_size


class ShortestSideResize(DualTransform):
    """Scale the shorter side to one of `shortest`, drawn for each image, but the longer side to `longest` at most.

    albumentations' SmallestMaxSize knows no limit for the other side, and rounds where the field floors (sizes.py).
    Boxes are shares of the image's sides in albumentations, so each axis scales by its own rounded length.
    """

    _targets = (Targets.IMAGE, Targets.BBOXES)

    class InitSchema(BaseTransformInitSchema):
        shortest: tuple[int, ...]
        longest: int
        rounding: Literal["floor", "nearest"]

    def __init__(
        self,
        shortest: tuple[int, ...] = (800,),
        longest: int = 1333,
        rounding: Literal["floor", "nearest"] = "floor",
        p: float = 1.0,
    ) -> None:
        super().__init__(p=p)
        self.shortest, self.longest, self.rounding = shortest, longest, rounding

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        shortest = self.shortest[0] if len(self.shortest) == 1 else self.py_random.choice(self.shortest)
        return {"size": resized_size(params["shape"][:2], shortest, self.longest, self.rounding)}

    def apply(self, img: NDArray[np.uint8], size: tuple[int, int], **params: Any) -> NDArray[np.uint8]:
        return resize_image(img, size)

    def apply_to_bboxes(self, bboxes: NDArray, **params: Any) -> NDArray:
        return bboxes
