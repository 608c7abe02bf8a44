"""The training loop, as a generator of reports; what a batch or a loss means is the model's affair.

One clock: *steps* are optimizer steps; reports count completed ones from 1. A step takes `accumulate` micro-batches.
Of what a model returns by name, what begins with "loss" is summed and learned from; the rest are *measurements*, such
as the error on the batch, which are only reported. L losses by name, P trained parameters.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from detres.devices import computing_in
from detres.distributed import rank, world_size
from detres.draws import Purpose, key
from detres.precision import Precision
from detres.training.ahead import on_device
from detres.training.device_memory import learned_within_memory
from detres.training.ema import MovingAverage
from detres.training.finite import FiniteGuard, LossRecord
from detres.training.loss_scaling import LossScaling


class Batch(Protocol):
    """What the loop asks of a micro-batch."""

    @property
    def image_ids(self) -> tuple[int | str, ...]: ...

    def to(self, device: torch.device, *, non_blocking: bool = False) -> Self: ...


@dataclass(frozen=True)
class StepReport:
    """One completed step. What has to be read from the device is there only where a line was due, else None.

    losses: means since the last line, over ranks, the total as "loss"; measurements: the same of these.
    gradient_norm: the largest since then, before clipping. seconds: a step's mean since then; waiting: the part of it
    spent waiting for data. images_per_second: of all ranks.
    """

    step: int
    lr: float
    losses: dict[str, float] | None = None
    measurements: dict[str, float] | None = None
    gradient_norm: float | None = None
    seconds: float | None = None
    waiting: float | None = None
    images_per_second: float | None = None


def train_steps(
    model: nn.Module,
    batches: Iterator[Batch],
    optimizer: torch.optim.Optimizer,
    lr_at: Callable[[int], float],
    *,
    steps: int,
    start_step: int = 0,
    accumulate: int = 1,
    device: torch.device,
    precision: Precision = "float32",
    clip_norm: float | None = None,
    ema: MovingAverage | None = None,
    scaling: LossScaling | None = None,
    due: Callable[[int], bool] = lambda step: True,
    measured: Callable[[int, Sequence[Mapping[str, Tensor]]], None] = lambda step, micro_batches: None,
    seed: int = 0,
) -> Iterator[StepReport]:
    """Train from start_step completed steps to `steps`, yielding a report after each.

    model: called with a micro-batch, returns losses by name ("loss_…", or one "loss") and measurements, all 0-dim; may
        be wrapped for data-parallel training. It is put into training mode at the start only.
    batches: this rank's micro-batches, from the first of step start_step on.
    optimizer: a fused one is kept from an update by the device; before the update of any other the host reads the
        flag, so that it cannot prepare the next step while the device still computes this one.
    scaling: of the losses, in float16. A step whose gradients overflow is left out, and counts all the same.
    lr_at: the rate, given the completed steps; a group's "lr_scale" multiplies it.
    due: asked once a step, with the completed steps, whether its report shall be read from the device.
    measured: told after every step, with the completed steps, what was measured on each of this rank's micro-batches;
        nothing of it is read from the device yet.
    seed: torch's global generator (dropout, drop path of timm's models) is reseeded from it for every micro-batch, so
        that nothing depends on where a run began.
    Raises DeviceMemoryFull where a micro-batch does not fit, and NonFiniteLoss at the first due step after a loss or a
    gradient was not finite; weights, averages and buffers are then those from before the first such step.
    """
    model.train()
    guard, record, clock = FiniteGuard(model, device), LossRecord(), _Clock()
    autocast = computing_in(precision, device)
    learn = partial(_backward, model, accumulate=accumulate, autocast=autocast, scaling=scaling)
    # Not one more than is learned from: what comes behind may not even be readable.
    there = on_device(islice(batches, (steps - start_step) * accumulate), device)
    try:
        for step in range(start_step, steps):
            clock.start()
            lr = _set_rate(optimizer, lr_at(step))
            guard.remember_buffers()
            optimizer.zero_grad(set_to_none=True)
            measurements = []
            for place in range(accumulate):
                batch = clock.wait_for(there)
                # The same micro-batch draws the same wherever a run began, and ranks draw apart.
                torch.manual_seed(key(seed, Purpose.DROP_PATH, step, rank() * accumulate + place))
                with _synchronized_if(model, place == accumulate - 1):
                    losses, others = learned_within_memory(learn, batch, model, device)
                record.add_micro_batch(step + 1, batch.image_ids, losses, others)
                measurements.append(others)
            norm, left_out = gradient_norm(optimizer), None
            if scaling is not None:
                norm, left_out = scaling.undo(_gradients(optimizer), norm)
            record.add_norm(step + 1, norm)
            guard.check(record.losses_of_step(step + 1), norm)
            stop = guard.flag if left_out is None else torch.maximum(guard.flag, left_out)
            _update(optimizer, stop, norm, clip_norm)
            guard.restore_buffers(stop)
            if ema is not None:
                ema.update(step + 1, keep=1 - stop)
            measured(step + 1, measurements)
            if due(step + 1):
                means, measured_means, largest = record.read(guard.flag)
                if scaling is not None:
                    measured_means["loss_scale"] = scaling.factor.item()
                yield StepReport(step + 1, lr, means, measured_means, largest, *clock.read())
            else:
                clock.stop()
                yield StepReport(step + 1, lr)
    finally:
        _raise_flag(optimizer, None)


def _backward(
    model: nn.Module, batch: Batch, accumulate: int, autocast: torch.autocast, scaling: LossScaling | None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Add a micro-batch's share of the step's gradient; its losses and its measurements, by name."""
    with autocast:
        returned = model(batch)
    losses = {name: value for name, value in returned.items() if name.startswith("loss")}
    total = sum(losses.values()) / accumulate
    (total if scaling is None else total * scaling.factor).backward()
    return losses, {name: value.detach() for name, value in returned.items() if name not in losses}


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """The 2-norm of all gradients together, 0-dim on their device."""
    return torch.nn.utils.get_total_norm(_gradients(optimizer), foreach=True)


def _raise_flag(optimizer: torch.optim.Optimizer, flag: Tensor | None) -> None:
    """A fused optimizer leaves the weights as they are where the flag is up; None: there is none."""
    # torch's name for the flag that its gradient scaler sets, which is the same thing for another reason.
    optimizer.found_inf = flag  # type: ignore[attr-defined]  # torch's scaler sets it as well


def _update(optimizer: torch.optim.Optimizer, flag: Tensor, norm: Tensor, clip_norm: float | None) -> None:
    """Move the weights, unless the flag is up."""
    if clip_norm is not None:
        torch.nn.utils.clip_grads_with_norm_(_parameters(optimizer), clip_norm, norm, foreach=True)
    if all(group.get("fused") for group in optimizer.param_groups):
        _raise_flag(optimizer, flag)
        optimizer.step()
    elif not flag.item():
        optimizer.step()


def _gradients(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p.grad for p in _parameters(optimizer) if p.grad is not None]


def _parameters(optimizer: torch.optim.Optimizer) -> list[nn.Parameter]:
    return [p for group in optimizer.param_groups for p in group["params"]]


def _set_rate(optimizer: torch.optim.Optimizer, lr: float) -> float:
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
    return lr


def _synchronized_if(model: nn.Module, last: bool) -> AbstractContextManager[None]:
    """Ranks exchange gradients with the last micro-batch of a step only."""
    return nullcontext() if last or not isinstance(model, DistributedDataParallel) else model.no_sync()


class _Clock:
    """Time spent within the loop since it was last read; what its consumer does between two steps is not counted."""

    def __init__(self) -> None:
        self._steps, self._images, self._seconds, self._waiting, self._started = 0, 0, 0.0, 0.0, 0.0

    def start(self) -> None:
        self._started = time.perf_counter()

    def stop(self) -> None:
        self._steps += 1
        self._seconds += time.perf_counter() - self._started

    def wait_for(self, batches: Iterator[Batch]) -> Batch:
        asked = time.perf_counter()
        batch = next(batches)
        self._waiting += time.perf_counter() - asked
        self._images += len(batch.image_ids)
        return batch

    def read(self) -> tuple[float, float, float]:
        """Seconds a step, seconds of it spent waiting for data, and images a second on all ranks."""
        self.stop()
        images = self._images * world_size() / self._seconds
        result = self._seconds / self._steps, self._waiting / self._steps, images
        self._steps, self._images, self._seconds, self._waiting = 0, 0, 0.0, 0.0
        return result
