"""What keeps a step that is not finite out of the weights, and later says which one it was.

The *flag* is 0 while every loss and every gradient norm so far was finite on every rank, and 1 from the first step on
where one was not. It is computed on the device and not waited for, save where an optimizer cannot read it there
(loop.py); optimizer, averages and buffers are gated by it. L losses and M measurements by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from detres.distributed import broadcast_from_main, gather_to_main, max_over_ranks, sum_over_ranks, world_size
from detres.errors import UserError

ImageIds = tuple[int | str, ...]


class NonFiniteLoss(UserError):
    """Training stopped because a loss or the gradient was not finite; the weights are those from before."""

    def __init__(self, what: str, step: int, image_ids: ImageIds, checkpoint: Path | None = None) -> None:
        ids = ", ".join(map(str, image_ids[:32])) + (", …" if len(image_ids) > 32 else "")
        kept = f"; last good checkpoint: {checkpoint}" if checkpoint else ""
        super().__init__(
            f"{what} at step {step} (images {ids}){kept}; mend: lower optimizer.lr, lengthen schedule.warmup_steps, "
            "set training.clip_norm, or look at these images (`detres check_data`)"
        )
        self.what, self.step, self.image_ids = what, step, image_ids


class FiniteGuard:
    """The flag, and the buffers as they were before the step."""

    def __init__(self, model: nn.Module, device: torch.device) -> None:
        """model: in the mode it is trained in; modules that are not in training mode keep their buffers anyway."""
        self.flag = torch.zeros((), device=device)
        training = [b for m in model.modules() if m.training for b in m.buffers(recurse=False)]
        self._by_dtype = [[b for b in training if b.dtype == dtype] for dtype in {b.dtype: None for b in training}]
        self._before: list[Tensor] = []

    def remember_buffers(self) -> None:
        """Keep the buffers' values, to be called before the forward pass."""
        self._before = [_flatten(buffers) for buffers in self._by_dtype]

    @torch.no_grad()
    def check(self, losses: Sequence[Tensor], gradient_norm: Tensor) -> None:
        """Raise the flag where anything of this step is not finite; a collective call."""
        finite = torch.isfinite(torch.cat([*losses, gradient_norm.reshape(1)])).all()
        self.flag = max_over_ranks(torch.maximum(self.flag, (~finite).to(self.flag)))

    @torch.no_grad()
    def restore_buffers(self, stop: Tensor) -> None:
        """Give buffers their remembered values where `stop` (0-dim) is 1: the flag is up, or a step is left out."""
        for buffers, before in zip(self._by_dtype, self._before, strict=True):
            gated = torch.where(stop > 0, before, _flatten(buffers))
            parts = gated.split([b.numel() for b in buffers])
            torch._foreach_copy_(buffers, [part.view(b.shape) for part, b in zip(parts, buffers, strict=True)])


def _flatten(buffers: Sequence[Tensor]) -> Tensor:
    return torch.cat([b.reshape(-1) for b in buffers])


@dataclass(frozen=True)
class _Micro:
    step: int
    image_ids: ImageIds
    values: Tensor  # (L + M,) on the device


@dataclass(frozen=True)
class _Culprit:
    """What was not finite. Of one step, a loss is to blame before the gradient it spoils."""

    step: int
    is_gradient: bool
    what: str
    image_ids: ImageIds


class LossRecord:
    """Losses, measurements and gradient norms since they were last read from the device."""

    def __init__(self) -> None:
        self._names: tuple[str, ...] = ()
        """The L losses', then the M measurements'."""
        self._losses = 0
        self._micros: list[_Micro] = []
        self._norms: list[tuple[int, Tensor]] = []

    def add_micro_batch(
        self, step: int, image_ids: ImageIds, losses: Mapping[str, Tensor], measurements: Mapping[str, Tensor]
    ) -> None:
        """What the model returned for one micro-batch; every micro-batch has the same names."""
        names = (*losses, *measurements)
        if self._names and names != self._names:
            raise ValueError(f"the model returned {names} at step {step}, {self._names} before")
        self._names, self._losses = names, len(losses)
        values = [value.detach() for value in (*losses.values(), *measurements.values())]
        self._micros.append(_Micro(step, image_ids, torch.stack([value.to(values[0].dtype) for value in values])))

    def add_norm(self, step: int, norm: Tensor) -> None:
        self._norms.append((step, norm))

    def losses_of_step(self, step: int) -> list[Tensor]:
        """The step's losses, one (L,) a micro-batch."""
        return [micro.values[: self._losses] for micro in self._micros if micro.step == step]

    def read(self, flag: Tensor) -> tuple[dict[str, float], dict[str, float], float]:
        """The mean of each loss and of their sum, and of each measurement, over ranks, and the largest norm.

        What was recorded is forgotten. A collective call that waits for the device. Raises NonFiniteLoss where the flag
        is up.
        """
        packed = torch.cat([m.values for m in self._micros] + [torch.stack([n for _, n in self._norms])]).double().cpu()
        values = packed[: -len(self._norms)].view(len(self._micros), len(self._names))
        norms = packed[-len(self._norms) :]
        if flag.item():
            raise self._first_culprit(values[:, : self._losses], norms)
        means = (sum_over_ranks(values.mean(dim=0)) / world_size()).tolist()
        self._micros, self._norms = [], []
        named = list(zip(self._names, means, strict=True))
        losses = {**dict(named[: self._losses]), "loss": sum(means[: self._losses])}
        return losses, dict(named[self._losses :]), norms.max().item()

    def _first_culprit(self, losses: Tensor, norms: Tensor) -> NonFiniteLoss:
        found = []
        for micro, values in zip(self._micros, losses.tolist(), strict=True):
            found += [
                _Culprit(micro.step, False, f"{name} is {value}", micro.image_ids)
                for name, value in zip(self._names[: self._losses], values, strict=True)
                if not math.isfinite(value)
            ]
        for (step, _), norm in zip(self._norms, norms.tolist(), strict=True):
            if not math.isfinite(norm):
                ids = tuple(i for micro in self._micros if micro.step == step for i in micro.image_ids)
                found.append(_Culprit(step, True, f"the gradient's norm is {norm}", ids))
        by_rank = gather_to_main(found)
        first = None
        if by_rank is not None:
            everywhere = [culprit for culprits in by_rank for culprit in culprits]
            first = min(everywhere, key=lambda c: (c.step, c.is_gradient))
            alike = [c for c in everywhere if (c.step, c.what) == (first.step, first.what)]
            first = _Culprit(first.step, first.is_gradient, first.what, tuple(i for c in alike for i in c.image_ids))
        first = broadcast_from_main(first)
        return NonFiniteLoss(first.what, first.step, first.image_ids)
