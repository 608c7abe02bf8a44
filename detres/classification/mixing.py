"""Pictures of two images in one: timm's mixup and CutMix, drawn from the batch's key.

N images of H×W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from torch import Tensor

from detres.errors import ConfigError


class Mixing:
    """Every image of a batch is mixed with its opposite, the first with the last, all in the same proportion.

    mixup, cutmix: alpha of the Beta distribution that the proportion is drawn from; 0: not used. Where both are used,
    one of them is drawn for each batch. Source: Zhang et al. 2018; Yun et al. 2019.
    """

    def __init__(self, num_classes: int, *, mixup: float = 0.0, cutmix: float = 0.0, smoothing: float = 0.0) -> None:
        from timm.data import Mixup  # importing timm takes a second

        if not mixup and not cutmix:
            raise ValueError("there is nothing to mix by: mixup and cutmix are both 0")
        self._mix = Mixup(mixup, cutmix, mode="batch", label_smoothing=smoothing, num_classes=num_classes)

    def __call__(self, images: Tensor, labels: Tensor, key: int) -> tuple[Tensor, Tensor]:
        """Mix a batch on its device; the host draws, and does not wait for it.

        images: (N, 3, H, W), normalized; they are overwritten. labels: (N,) int64. key: what is drawn depends on it
        alone. Returns the images, and the share of each class in each of them, (N, K) float32, smoothed.
        Raises ConfigError for an odd number of images, whose middle one has no opposite.
        """
        if len(images) % 2:
            raise ConfigError(
                f"loss.mixup and loss.cutmix mix images in pairs, and a device got {len(images)}; choose an even "
                "training.per_device_batch"
            )
        with numpy_seeded(key):
            return self._mix(images, labels)


@contextmanager
def numpy_seeded(key: int) -> Iterator[None]:
    """numpy's global generator, which timm draws from, begins at the key (63 bits) inside, and is as it was after."""
    # The legacy functions are the generator's only ones.
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed([key >> 32, key & 0xFFFFFFFF])  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
