"""What the per-class layers cost in training. N images, K classes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from detres.detection.model.anchors import AnchorGrid
from detres.localization.class_rpn import ClassRPN
from detres.structures import DetectionTarget

IN_CHANNELS, CHANNELS, CELLS = 12, 8, 7


class Made(TorchDispatchMode):
    """Adds up the bytes of everything that is computed inside, forward and backward, views included."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        self.bytes += sum(
            each.nbytes for each in (out if isinstance(out, tuple) else (out,)) if isinstance(each, Tensor)
        )
        return out


def bytes_of_a_step(images: int, classes: int) -> int:
    torch.manual_seed(0)
    grid = AnchorGrid([[64.0, 128.0, 256.0]], [32])
    rpn = ClassRPN(IN_CHANNELS, grid.per_cell, classes, channels=CHANNELS)
    cells = torch.randn(images, IN_CHANNELS, CELLS, CELLS, requires_grad=True)
    (anchors,) = grid([cells], (224, 224))
    box, ignore = torch.tensor([[40.0, 40, 180, 180]]), torch.zeros(1, dtype=torch.bool)
    targets = [DetectionTarget(box, torch.zeros(1, dtype=torch.int64), ignore) for _ in range(images)]
    labels = torch.arange(images) % classes
    samples = rpn.sample(anchors, targets, torch.arange(images))
    with Made() as made:
        losses = rpn.losses(rpn(cells), anchors, labels, targets, samples)
        sum(losses.values()).backward()
    return made.bytes


def test_nothing_that_a_step_makes_grows_with_images_times_classes() -> None:
    one, more_classes, more_images, both = (bytes_of_a_step(n, k) for n in (2, 8) for k in (50, 400))
    assert more_images > one
    assert more_classes > one
    # With maps of every class, six images more would cost this much for each of 350 classes more, and as much again.
    maps = 6 * 350 * 9 * 5 * CELLS * CELLS * 4
    assert abs(both - more_images - more_classes + one) < maps / 1000
