"""Batch norm's statistics as true averages over images, in place of the moving averages of a training's last steps.

C channels; S values of a channel, over images and cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from detres.distributed import sum_over_ranks, world_size
from detres.training.loop import Batch

B = TypeVar("B", bound=Batch)


def recompute_norms(
    model: nn.Module,
    batches: Iterable[B],
    images: int | None = None,
    *,
    forward: Callable[[B], object] | None = None,
) -> None:
    """Give every batch norm the mean and the variance of all that it is given over these images.

    On its way through the model a batch is normalized by itself, as in training; all else is as in evaluation. What the
    batches have in common is then exact: mean and variance are those of all values at once, however they were spread
    over batches and ranks. A collective call. The modes of modules are afterwards as they were.

    batches: this rank's, on the model's device, at least one. images: over all ranks, after how many to stop (the batch
    that reaches it counts whole); None: at the end of batches. forward: runs the model on a batch; None: calls it.
    Raises ValueError where there is no batch.
    Source: the published weights of He et al. 2015; Wu and Johnson 2021, section 3.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]
    moments: dict[nn.Module, Moments] = {norm: Moments(_tracked(norm)[0]) for norm in norms}
    if not norms:
        return
    with _observed(model, moments), torch.no_grad():
        for batch in _until(batches, None if images is None else -(-images // world_size())):
            (forward or model)(batch)
    for norm in norms:
        for tracked, found in zip(_tracked(norm), moments[norm].over_ranks(), strict=True):
            tracked.copy_(found)


def _tracked(norm: _BatchNorm) -> tuple[Tensor, Tensor]:
    """Its running mean and variance."""
    assert norm.running_mean is not None, "it tracks them"
    assert norm.running_var is not None, "it tracks them"
    return norm.running_mean, norm.running_var


class Moments:
    """The number, mean and squared deviations of a channel's values, batch by batch, in float64 on their device."""

    def __init__(self, like: Tensor) -> None:
        """like: (C,), of the statistics to be replaced."""
        self._count = torch.zeros((), dtype=torch.float64, device=like.device)
        self._mean, self._deviations = (torch.zeros_like(like, dtype=torch.float64) for _ in range(2))

    def add(self, values: Tensor) -> None:
        """values: (N, C, ...). Source: Chan et al. 1979, on the parallel computation of variances."""
        variance, mean = torch.var_mean(values.float(), dim=[0, *range(2, values.ndim)], correction=0)
        count = values.numel() // values.shape[1]
        total = self._count + count
        gap = mean.double() - self._mean
        self._deviations += variance.double() * count + gap.square() * (self._count * count / total)
        self._mean += gap * (count / total)
        self._count = total

    def over_ranks(self) -> tuple[Tensor, Tensor]:
        """The mean and the unbiased variance, each (C,), of the values of all ranks; a collective call.

        Raises ValueError where there are none.
        """
        total = sum_over_ranks(self._count)
        if not total:
            raise ValueError("there is no batch to recompute norms from")
        mean = sum_over_ranks(self._mean * self._count) / total
        gap = self._mean - mean
        deviations = sum_over_ranks(self._deviations + self._count * gap.square())
        return mean, deviations / (total - 1).clamp(min=1)


@contextmanager
def _observed(model: nn.Module, moments: dict[nn.Module, Moments]) -> Iterator[None]:
    """The norms normalize by the batch, and their moments see it; what they count meanwhile is undone."""
    modes = {module: module.training for module in model.modules()}
    kept = {norm: [None if b is None else b.clone() for b in norm.buffers(recurse=False)] for norm in moments}
    with ExitStack() as hooks:
        # A compiled model would not notice hooks that came later.
        hooks.enter_context(torch.compiler.set_stance("force_eager"))
        model.eval()
        for norm, of_norm in moments.items():
            norm.train()
            hook = norm.register_forward_pre_hook(lambda _, inputs, of_norm=of_norm: of_norm.add(inputs[0].detach()))
            hooks.callback(hook.remove)
        try:
            yield
        finally:
            for module, training in modes.items():
                module.training = training
            for norm, buffers in kept.items():
                for buffer, before in zip(norm.buffers(recurse=False), buffers, strict=True):
                    buffer.copy_(before)


def _until(batches: Iterable[B], images: int | None) -> Iterator[B]:
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch.image_ids)
        if images is not None and seen >= images:
            return
