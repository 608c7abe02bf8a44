"""Processes of one run, as plain integers and a few collective calls that are free on one process."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

from detres.errors import ConfigError
from detres.rank_failures import failures_told_once

PATIENCE = timedelta(days=2)
"""How long ranks wait for each other, such as for the main one that indexes a set.

Torch's own 10 and 30 minutes would end runs that are well. For a rank that fails or dies nobody waits: it ends the
others within seconds (rank_failures.py).
"""


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_main() -> bool:
    return rank() == 0


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the group torchrun describes in the environment, where it does; leave it at the end.

    A rank that fails in it ends all: EndedElsewhere is raised on those that have nothing to say (rank_failures.py).
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    # Integers on the host (was anyone asked to stop?) travel by gloo, so that no rank waits for its device first.
    if device.type == "cuda":
        torch.cuda.set_device(device)  # Else every rank would open a context on the first GPU as well.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    store, rank, world = next(rendezvous("env://"))
    dist.init_process_group(
        backend,
        store=store,
        rank=rank,
        world_size=world,
        timeout=PATIENCE,
        device_id=device if device.type == "cuda" else None,
    )
    try:
        with failures_told_once(dist.PrefixStore("detres", store), rank, world):
            yield
    finally:
        dist.destroy_process_group()


def local_device(name: str | None = None) -> torch.device:
    """The device of this process: the one named, else this rank's accelerator, else the CPU.

    Raises ConfigError where it is not there.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        if reason.startswith("Expected one of"):  # and then all that torch was ever written for
            reason = "no kind of device is called so"
        raise ConfigError(
            f"--device {name}: not to be had here ({reason}); there are cpu and {torch.cuda.device_count()} of cuda"
        ) from None


def sum_over_ranks(value: Tensor) -> Tensor:
    """The elementwise sum over ranks; the value itself on one process."""
    if world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value


def min_over_ranks(value: Tensor) -> Tensor:
    if world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value, op=dist.ReduceOp.MIN)
    return value


def max_over_ranks(value: Tensor) -> Tensor:
    if world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value, op=dist.ReduceOp.MAX)
    return value


def gather_to_main(value: Any) -> list[Any] | None:
    """Every rank's picklable value, by rank, on the main process; None elsewhere."""
    if world_size() == 1:
        return [value]
    gathered: list[Any] | None = [None] * world_size() if is_main() else None
    dist.gather_object(value, gathered)
    return gathered


def broadcast_from_main(value: Any) -> Any:
    """The main process's picklable value, on every rank."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box)
    return box[0]


def data_parallel(model: nn.Module, device: torch.device) -> nn.Module:
    """The model as ranks train it together, each on its device; itself on one process.

    Buffers are not sent at every step: what ranks measure with is shared before (share_buffers), and the main rank's
    are saved.
    """
    if world_size() == 1:
        return model
    wrapped = nn.parallel.DistributedDataParallel
    # Its name since torch 2.13, and the one before.
    renamed = "forward_sync_buffers" in inspect.signature(wrapped.__init__).parameters
    return wrapped(
        model,
        device_ids=[device.index] if device.type == "cuda" else None,
        gradient_as_bucket_view=True,
        **{"forward_sync_buffers" if renamed else "broadcast_buffers": False},  # type: ignore[arg-type]
    )


def share_buffers(model: nn.Module) -> None:
    """Give every rank the main one's floating buffers: running statistics differ by what each rank has seen."""
    if world_size() > 1:
        for buffer in model.buffers():
            if buffer.is_floating_point():
                dist.broadcast(buffer, 0)


def barrier() -> None:
    if world_size() > 1:
        dist.barrier()
