"""What keeps small gradients of float16 from vanishing: the loss is multiplied, and the gradients divided again.

Micikevicius et al. 2018, "Mixed Precision Training": the factor doubles after many steps that were finite, and is
halved where a gradient overflowed; such a step is left out. Where it overflows at a factor of 1 as well, float16 is not
to blame. All of it is computed on the device, and nothing is waited for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

_FIRST, _LEAST, _MOST = 2.0**16, 1.0, 2.0**24
_PATIENCE = 2000
"""Finite steps in a row after which a larger factor is tried."""


class LossScaling:
    """factor: 0-dim float32 on the device. finite_steps: in a row, at this factor; 0-dim int32."""

    def __init__(self, device: torch.device) -> None:
        self.factor = torch.full((), _FIRST, device=device)
        self.finite_steps = torch.zeros((), dtype=torch.int32, device=device)

    @torch.no_grad()
    def undo(self, gradients: Sequence[Tensor], norm: Tensor) -> tuple[Tensor, Tensor]:
        """Divide the gradients in place, and adapt the factor. norm: theirs, 0-dim, the same on every rank.

        Returns the norm, and 1 where the step is to be left out, else 0; both 0-dim. The norm of a step that is left
        out is 0: what is not finite there is the factor's fault.
        """
        torch._foreach_div_(list(gradients), self.factor)
        norm = norm / self.factor
        overflows = ~torch.isfinite(norm) & (self.factor > _LEAST)
        steps = torch.where(overflows, 0, self.finite_steps + 1)
        grows = steps >= _PATIENCE
        factor = torch.where(overflows, self.factor / 2, torch.where(grows, self.factor * 2, self.factor))
        self.factor = factor.clamp(_LEAST, _MOST)
        self.finite_steps = torch.where(grows, 0, steps).to(torch.int32)
        return torch.where(overflows, 0.0, norm), overflows.to(norm.dtype)

    def state_dict(self) -> dict[str, float]:
        return {"factor": self.factor.item(), "finite_steps": self.finite_steps.item()}

    def load_state_dict(self, state: Mapping[str, float]) -> None:
        self.factor.fill_(state["factor"])
        self.finite_steps.fill_(state["finite_steps"])
