"""What a run says whose micro-batch does not fit into its device's memory: how many images would."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from detres.devices import described
from detres.distributed import world_size
from detres.errors import UserError
from detres.words import number_of


class _Batch(Protocol):
    """A frozen dataclass, each tensor and tuple of which has a row or an entry an image."""

    @property
    def image_ids(self) -> tuple[int | str, ...]: ...


AnyBatch = TypeVar("AnyBatch", bound=_Batch)
Result = TypeVar("Result")


class DeviceMemoryFull(UserError):
    """Training stopped because a micro-batch did not fit into its device's memory."""


def learned_within_memory(
    learn: Callable[[AnyBatch], Result], batch: AnyBatch, model: nn.Module, device: torch.device
) -> Result:
    """learn(batch). Raises DeviceMemoryFull, which says how many images would fit, where so many do not.

    learn: a forward and a backward pass of the model, which is of no use any more where it does not fit.
    """
    try:
        return learn(batch)
    except torch.OutOfMemoryError:
        pass  # What the failed pass holds is free once this block is left.
    count = len(batch.image_ids)
    raise DeviceMemoryFull(
        f"{described(device)}: {number_of(count, 'image')} at once {'does' if count == 1 else 'do'} not fit into its "
        f"memory{_mend(learn, batch, model)}"
    )


def _mend(learn: Callable[[AnyBatch], Any], batch: AnyBatch, model: nn.Module) -> str:
    count = len(batch.image_ids)
    fewer = [number for number in range(count - 1, 0, -1) if count % number == 0]
    kept = "which leaves a step as it is; --resume goes on from the last checkpoint"
    if fewer and world_size() > 1:  # A trial of one rank would wait for the others.
        return f"; try training.per_device_batch={fewer[0]}, {kept}"
    for number in fewer:
        if _fits(learn, first_images(batch, number), model):
            return f", and {number} {'does' if number == 1 else 'do'}: training.per_device_batch={number}, {kept}"
    return (
        f"{', nor does one' if fewer else ''}; take smaller ones (data.shortest_side, data.crop), "
        "model.checkpoint_blocks=true, training.precision=bf16 or float16, or free what others hold of it (nvidia-smi)"
    )


def _fits(learn: Callable[[AnyBatch], Any], batch: AnyBatch, model: nn.Module) -> bool:
    model.zero_grad(set_to_none=True)
    torch.cuda.empty_cache()
    try:
        learn(batch)
    except torch.OutOfMemoryError:
        return False
    return True


def first_images(batch: AnyBatch, number: int) -> AnyBatch:
    """The micro-batch of its first images alone."""
    count = len(batch.image_ids)

    def part(value: Any) -> Any:
        return value[:number] if isinstance(value, Tensor | tuple) and len(value) == count else value

    parts = {field.name: part(getattr(batch, field.name)) for field in fields(batch)}  # type: ignore[arg-type]
    return replace(batch, **parts)  # type: ignore[type-var]
