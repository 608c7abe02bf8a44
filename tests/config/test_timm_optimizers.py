"""What timm's optimizers take, held against what they do with it."""

from __future__ import annotations

import pytest
import torch
from timm.optim import create_optimizer_v2

from detres.config.timm_optimizers import takes


@pytest.mark.parametrize(
    ("name", "momentum", "betas"),
    [
        ("timm/sgd", True, False),
        ("timm/lion", False, True),
        ("timm/muon", True, True),
        ("timm/adan", False, False),  # It has three.
        ("timm/adafactor", False, False),
    ],
)
def test_what_is_said_of_an_optimizer_is_what_it_takes(name: str, momentum: bool, betas: bool) -> None:
    assert (takes(name, "momentum"), takes(name, "betas")) == (momentum, betas)
    if betas:
        made = create_optimizer_v2([torch.nn.Parameter(torch.zeros(2, 2))], name[5:], lr=0.1, betas=(0.5, 0.6))
        assert made.param_groups[0]["betas"] == (0.5, 0.6)


def test_of_a_name_that_timm_has_not_nothing_is_refused_here() -> None:
    assert takes("timm/lionn", "momentum")
    assert takes("timm/lionn", "betas")
