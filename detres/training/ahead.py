"""Micro-batches on their device, each copied while the device still computes on the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, Self, TypeVar

import torch
from torch import Tensor


class Movable(Protocol):
    def to(self, device: torch.device, *, non_blocking: bool = False) -> Self: ...


AnyBatch = TypeVar("AnyBatch", bound=Movable)


def on_device(batches: Iterable[AnyBatch], device: torch.device) -> Iterator[AnyBatch]:
    """The batches there. For a GPU each is asked for, and its copy begun, one before it is needed."""
    if device.type != "cuda":
        return (batch.to(device, non_blocking=True) for batch in batches)
    return _one_ahead(batches, device)


def _one_ahead(batches: Iterable[AnyBatch], device: torch.device) -> Iterator[AnyBatch]:
    copies = torch.cuda.Stream(device)
    begun: tuple[AnyBatch, torch.cuda.Event] | None = None
    for batch in batches:
        with torch.cuda.stream(copies):
            following = batch.to(device, non_blocking=True), copies.record_event()
        if begun is not None:
            yield _handed_over(*begun)
        begun = following
    if begun is not None:
        yield _handed_over(*begun)


def _handed_over(batch: AnyBatch, copied: torch.cuda.Event) -> AnyBatch:
    """Once what computes next has been told to wait for the copy, and the allocator who else uses its memory."""
    computing = torch.cuda.current_stream()
    computing.wait_event(copied)
    for tensor in _tensors_in(batch):
        tensor.record_stream(computing)
    return batch


def _tensors_in(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif is_dataclass(value):
        for part in fields(value):
            yield from _tensors_in(getattr(value, part.name))
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors_in(each)
