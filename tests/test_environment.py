"""The environment can be told on any machine."""

from __future__ import annotations

import torch

from detres.environment import device_name, versions


def test_the_machine_is_named() -> None:
    assert device_name(torch.device("cpu"))
    assert {"detres", "python", "torch", "torchvision"} <= set(versions())
