"""From a file's bytes to what a classifier learns from: crop, mirror, RandAugment.

A *draw key* is the integer (draws.py) that stands for one image's place in the run. H, W height and width in pixels.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from detres.data.classification.crops import Box, Cropping, cut, least_size
from detres.data.images.jpeg_scaling import decode_scaled, size_as_read
from detres.data.images.reading import decode_image
from detres.errors import ConfigError
from detres.structures import IMAGENET_STATS

# timm's convention: an image is moved by 45 per cent of its side at most.
_LARGEST_MOVE = 0.45


class ClassificationTransform:
    """Called with an image and a draw key; returns the crop, uint8 RGB (side, side, 3).

    cropping: how the crop is drawn (crops.py). flip: the chance of a mirror. randaugment: timm's description, such as
    rand-m7-mstd0.5-inc1, or None. exif: turn images as their EXIF orientation says.
    max_pixels: of an encoded image, as images.read_image takes it.
    The same key gives the same crop in any process. Raises ConfigError where timm refuses the description.
    """

    def __init__(
        self,
        cropping: Cropping,
        *,
        flip: float = 0.5,
        randaugment: str | None = None,
        exif: bool = True,
        max_pixels: int | None = None,
    ) -> None:
        self.cropping, self.flip, self.exif, self.max_pixels = cropping, flip, exif, max_pixels
        self.randaugment = None if randaugment is None else RandAugment(randaugment, cropping.side)

    def from_bytes(self, data: bytes, source: str, draw_key: int) -> NDArray[np.uint8]:
        """The crop of an encoded image, which is decoded no larger than the crop asks.

        source: names the bytes in errors. Raises DataError where they are no image that can be decoded.
        """
        crop, _, draws = crop_of_bytes(
            data, source, self.cropping, draw_key, exif=self.exif, max_pixels=self.max_pixels
        )
        return self._finished(crop, draws)

    def from_pixels(self, rgb: NDArray[np.uint8], draw_key: int) -> NDArray[np.uint8]:
        """The crop of a decoded image, uint8 RGB (H, W, 3)."""
        crop, _, draws = crop_of_pixels(rgb, self.cropping, draw_key)
        return self._finished(crop, draws)

    def _finished(self, crop: NDArray[np.uint8], draws: random.Random) -> NDArray[np.uint8]:
        if draws.random() < self.flip:
            crop = cast("NDArray[np.uint8]", cv2.flip(crop, 1))
        return crop if self.randaugment is None else self.randaugment(crop, draws.getrandbits(32))


class Cropped(NamedTuple):
    """crop: uint8 RGB (side, side, 3). box: what of the whole image it shows. draws: what follows is drawn from."""

    crop: NDArray[np.uint8]
    box: Box
    draws: random.Random


def crop_of_bytes(
    data: bytes, source: str, cropping: Cropping, draw_key: int, *, exif: bool, max_pixels: int | None = None
) -> Cropped:
    """A crop of an encoded image, which is decoded no larger than the crop asks.

    source: names the bytes in errors. Raises DataError where they are no image that can be decoded.
    """
    size = size_as_read(data, exif)
    if size is not None:
        draws = random.Random(draw_key)
        box = cropping.draw(size, draws)
        at_least = least_size(size, box, cropping.side)
        rgb, denominator = decode_scaled(data, source, at_least, exif, max_pixels=max_pixels)
        # A header may say what the decoder, for reasons of its own, does not follow: then its pixels decide.
        if rgb.shape[:2] == tuple(-(-length // denominator) for length in size):
            return Cropped(cut(rgb, box, cropping.side, denominator), box, draws)
    rgb = decode_image(np.frombuffer(data, np.uint8), source, exif, max_pixels=max_pixels)
    return crop_of_pixels(rgb, cropping, draw_key)


def crop_of_pixels(rgb: NDArray[np.uint8], cropping: Cropping, draw_key: int) -> Cropped:
    """A crop of a decoded image, uint8 RGB (H, W, 3)."""
    draws = random.Random(draw_key)
    box = cropping.draw((rgb.shape[0], rgb.shape[1]), draws)
    return Cropped(cut(rgb, box, cropping.side), box, draws)


class RandAugment:
    """timm's RandAugment, with draws that depend on nothing but the key it is called with.

    description: as timm's rand_augment_transform takes it. side: of the images, in pixels.
    Raises ConfigError where timm does not understand it.
    """

    def __init__(self, description: str, side: int) -> None:
        self.description, self.side = description, side
        self._augment = self._build()

    def __call__(self, rgb: NDArray[np.uint8], draw_key: int) -> NDArray[np.uint8]:
        """rgb: uint8 (H, W, 3). draw_key: in 0..2^32-1."""
        with _reseeded(draw_key):
            return np.asarray(self._augment(Image.fromarray(np.ascontiguousarray(rgb))))

    def __getstate__(self) -> dict[str, Any]:
        # Workers that are started afresh build their own: timm does not promise that its operations can be sent.
        return self.__dict__ | {"_augment": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._augment = self._build()

    def _build(self) -> Callable[[Image.Image], Image.Image]:
        from timm.data.auto_augment import rand_augment_transform

        # What an image that is turned or moved leaves empty is filled with the mean colour, as timm's loaders do.
        fill = tuple(round(value) for value in IMAGENET_STATS.mean)
        options = {"translate_const": int(self.side * _LARGEST_MOVE), "img_mean": fill}
        try:
            return rand_augment_transform(self.description, options)
        except (AssertionError, ValueError, KeyError) as error:
            raise ConfigError(
                f"data.randaugment={self.description!r} is not understood by timm"
                + (f" ({error})" if str(error) else "")
                + "; it reads like rand-m7-mstd0.5-inc1"
            ) from None


@contextmanager
def _reseeded(draw_key: int) -> Iterator[None]:
    """Python's and numpy's global generators, which timm draws from, at a state of this key; then as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    random.seed(draw_key)
    np.random.seed(draw_key)  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
