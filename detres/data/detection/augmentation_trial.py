"""Augmentations tried on a made picture: what they refuse at their first use shows before a training does.

Some transforms of albumentations are made of any arguments, and fail on the first image: for data that nobody gives
them, or an argument that is no function. What is tried are copies, and the generators of the process are put back, so
that whatever is drawn afterwards is the same.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detres.errors import ConfigError, UserError
from detres.system_errors import out_of_memory

# The second is for those that cut out more than the first has, and is made only then.
_SIZES = ((96, 128), (2048, 2560))


def try_augmentations(transforms: Sequence[Any], library: Any, where: str = "data.augment") -> None:
    """Raise ConfigError, naming the transform's place below `where`, where one fails, or they give no picture.

    library: albumentations. Each is applied, whatever its probability.
    """
    try:
        copies = [copy.deepcopy(transform) for transform in transforms]
    except Exception:  # One's own may not be copied, and are not tried.
        return
    for transform in copies:
        _apply_always(transform, library)
    with _generators_kept(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for size in _SIZES:
            try:
                _Trial(library).run(copies, np.full((*size, 3), 128, np.uint8), where)
                break
            except ConfigError:
                if size == _SIZES[-1]:
                    raise


class _Trial:
    def __init__(self, library: Any) -> None:
        self._library = library

    def run(self, transforms: Sequence[Any], rgb: NDArray[np.uint8], where: str) -> None:
        image: Any = rgb
        for i, transform in enumerate(transforms):
            image = self._apply(transform, image, f"{where}.{i}")
        shape = tuple(getattr(image, "shape", ()))
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
            raise ConfigError(
                f"{where}: gives {type(image).__name__} of {getattr(image, 'dtype', 'no type')} in {len(shape)} "
                "dimensions, expected an array of uint8 of (height, width, 3); leave out what turns pixels into other "
                "numbers, which the model does itself"
            )

    def _apply(self, transform: Any, image: Any, where: str) -> Any:
        library, name = self._library, type(transform).__name__
        if isinstance(transform, library.OneOf | library.SomeOf | library.OneOrOther):
            for i, each in enumerate(transform.transforms):  # Only some of them are drawn.
                self._apply(each, image, f"{where}.{name}.transforms.{i}")
        boxes = library.BboxParams(format="albumentations", label_fields=["index"])
        try:
            compose = library.Compose([transform], bbox_params=boxes)
            compose.set_random_state(np.random.default_rng(0), random.Random(0))
            return compose(image=image, bboxes=np.array([[0.25, 0.25, 0.75, 0.75]]), index=np.array([0]))["image"]
        except Exception as error:
            if isinstance(error, UserError) or out_of_memory(error):
                raise
            raise ConfigError(
                f"{where}: {name} fails on a picture: {said_by(error)}; change its arguments, or leave it out"
            ) from error


def said_by(error: Exception) -> str:
    """An error's kind and its words, in one line."""
    words = " ".join(str(error).split())
    return f"{type(error).__name__}: {words[:500]}" if words else type(error).__name__


def _apply_always(transform: Any, library: Any) -> None:
    transform.p = 1.0
    if isinstance(transform, library.BaseCompose):
        for each in transform.transforms:
            _apply_always(each, library)


@contextmanager
def _generators_kept() -> Iterator[None]:
    """What is drawn from the generators of the process in it, is drawn again afterwards."""
    python, torchs = random.getstate(), torch.get_rng_state()
    numpy = np.random.get_state()  # noqa: NPY002 (one's own may draw from it)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torchs)
