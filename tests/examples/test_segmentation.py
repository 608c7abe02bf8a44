"""A network of one's own on a backbone's feature maps learns in a few steps."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest
import torch


@pytest.mark.slow
def test_the_pixel_accuracy_rises(example: Callable[[str], ModuleType]) -> None:
    before, after = example("segmentation").main(["--steps", "30"])
    assert after > before + 0.05


@pytest.mark.slow
def test_every_pixel_has_a_logit_of_each_class_and_every_map_a_part_in_it(
    example: Callable[[str], ModuleType],
) -> None:
    segmentation = example("segmentation")
    rgb, labels = segmentation.draw_shapes(2, torch.Generator().manual_seed(0))
    assert (rgb.shape, labels.unique().tolist()) == ((2, 64, 64, 3), [0, 1, 2])
    model = segmentation.Segmenter("resnet18", 3)
    logits = model(rgb)
    assert logits.shape == (2, 3, 64, 64)
    logits.sum().backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in model.head.lateral.values())
