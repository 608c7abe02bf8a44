"""A stage as its blocks in a row, whose maps need not all be kept for the backward pass.

N images or regions of H×W cells.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from detres.structures import FeatureSpec


class Stage(nn.Sequential):
    """The blocks of one stage: (N, C, H, W) -> (N, spec.channels, H / s, W / s), s the stage's own stride.

    recomputes: keep only what each block is given, and compute what lies within anew in the backward pass. Memory then
    grows with one map a block instead of one a layer, and a step takes about a third more time (Chen et al. 2016).
    """

    spec: FeatureSpec
    recomputes = False

    def forward(self, x: Tensor) -> Tensor:
        if not (self.recomputes and self.training and torch.is_grad_enabled()):
            return super().forward(x)
        for block in self:
            x = _recomputed(block, x)
        return x


@torch.compiler.disable(recursive=False)  # Dynamo refuses context_fn.
def _recomputed(block: nn.Module, x: Tensor) -> Tensor:
    """block(x), whose second computation draws what the first drew and leaves running statistics alone."""

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), statistics_kept(block)

    return checkpoint(block, x, use_reentrant=False, context_fn=contexts)


@contextmanager
def statistics_kept(module: nn.Module) -> Iterator[None]:
    """Batch norms update copies of their statistics inside.

    Not track_running_stats=False: autograd would then save fewer tensors than the first time, which checkpoint refuses.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    kept = [dict(norm._buffers) for norm in norms]
    for norm, buffers in zip(norms, kept, strict=True):
        norm._buffers.update({name: None if b is None else b.clone() for name, b in buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, kept, strict=True):
            norm._buffers.update(buffers)
