"""Networks whose statistics are not the trivial ones that they are built with."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn


def _randomize(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)

    def draw(tensor: torch.Tensor, low: float, high: float) -> None:
        with torch.no_grad():
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)

    for norm in module.modules():
        if hasattr(norm, "running_var"):
            draw(norm.weight, 0.3, 0.8)
            draw(norm.bias, -0.2, 0.2)
            draw(norm.running_mean, -0.2, 0.2)
            draw(norm.running_var, 0.7, 1.4)
    return module


@pytest.fixture
def randomize() -> Callable[[nn.Module], nn.Module]:
    return _randomize
