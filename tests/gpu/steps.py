"""Some steps of training on any device, and what is to be the same on all of them."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detres.structures import Detections
from detres.training.loop import StepReport, train_steps
from detres.training.optimizers import build_optimizer

STEPS = 5
# Norms over a few cells let weights that differ in their last digit part the faster, the faster they move.
RATE = 1e-4
COUNTED = 3
"""The step without a line of losses, which is the loop's usual one."""


def steps_on(model: nn.Module, batch: Any, device: torch.device, **options: Any) -> Iterator[StepReport]:
    """Steps of a copy of the model, on one batch; each but COUNTED with its losses."""
    there = copy.deepcopy(model).to(device, memory_format=torch.channels_last)
    optimizer = build_optimizer(there, lr=RATE)
    return train_steps(
        there,
        itertools.repeat(batch),
        optimizer,
        lambda step: RATE,
        steps=STEPS,
        device=device,
        due=lambda step: step != COUNTED,
        **options,
    )


def same_losses_within(
    budget: AbstractContextManager[None], model: nn.Module, batch: Any, device: torch.device
) -> None:
    """Five steps lose what they lose on the CPU, to a ten-thousandth of the whole; one keeps the budget."""
    here = [report.losses for report in steps_on(model, batch, torch.device("cpu")) if report.losses]
    there, steps = [], steps_on(model, batch, device)
    for _ in range(COUNTED - 1):
        there.append(next(steps).losses)
    with budget:
        assert next(steps).losses is None
    there += [report.losses for report in steps]
    assert len(here) == STEPS - 1
    assert here[0]["loss"] != here[-1]["loss"], "nothing is learned"
    for expected, found in zip(here, there, strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4 * expected["loss"])


def same_state(here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> None:
    """Two state dicts hold the same bits, wherever they lie."""
    assert list(here) == list(there)
    apart = [name for name, tensor in here.items() if not torch.equal(tensor.cpu(), there[name].cpu())]
    assert apart == []


def same_detections(here: Sequence[Detections], there: Sequence[Detections], *, pixels: float = 0.05) -> None:
    """Every detection has a partner of its class; two of all may lie on another side of some border."""
    total = sum(map(len, here))
    assert total > len(here), "too little to compare"
    strays = sum(_strays(one, other, pixels) for one, other in zip(here, there, strict=True))
    assert strays <= 2, f"{strays} of {total} detections have no partner"


def _strays(here: Detections, there: Detections, pixels: float) -> int:
    near = (here.boxes[:, None] - there.boxes[None]).abs().amax(dim=2) <= pixels
    alike = (here.scores[:, None] - there.scores[None]).abs() <= 1e-3
    partner = near & alike & (here.labels[:, None] == there.labels[None])
    return int((~partner.any(dim=1)).sum() + (~partner.any(dim=0)).sum())


def repeated(work: Callable[[], object], budget: AbstractContextManager[None]) -> None:
    """Once for what is made at first, then within the budget."""
    work()
    with budget:
        work()
