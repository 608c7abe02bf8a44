"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Averages what training changes: trained parameters and floating buffers, under their state_dict names."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        """decay: what is kept of the average in a step; early in a run less is, (1 + step) / (10 + step)."""
        self.decay = decay
        frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
        self._source = {n: t for n, t in model.state_dict().items() if t.is_floating_point() and n not in frozen}
        self._average = {name: tensor.detach().clone() for name, tensor in self._source.items()}

    @torch.no_grad()
    def update(self, step: int, keep: Tensor) -> None:
        """Move towards the weights after `step` completed steps; not at all where keep (0-dim, 0 or 1) is 0."""
        decay = min(self.decay, (1 + step) / (10 + step))
        share = keep * (1 - decay)
        averages = list(self._average.values())
        torch._foreach_lerp_(averages, list(self._source.values()), [share.to(a.dtype) for a in averages])

    def state_dict(self) -> dict[str, Tensor]:
        """The averages, by name."""
        return self._average

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the averages; other names in `tensors` are passed over, a missing one is a KeyError."""
        for name, average in self._average.items():
            average.copy_(tensors[name])

    def raw_state_dict(self) -> dict[str, Tensor]:
        """The weights themselves, under the averages' names."""
        return self._source

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the averages inside, and the very weights it had before afterwards."""
        raw = {name: tensor.clone() for name, tensor in self._source.items()}
        self._fill(self._average)
        try:
            yield
        finally:
            self._fill(raw)

    @torch.no_grad()
    def _fill(self, values: Mapping[str, Tensor]) -> None:
        for name, tensor in self._source.items():
            tensor.copy_(values[name])
