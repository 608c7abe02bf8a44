"""Optimizers over what of a model is to be trained.

torch's own are the fused ones on every device, because these alone skip an update that a tensor on the device forbids
(`found_inf`), which is how a step that is not finite leaves the weights as they were. For timm's the host reads that
tensor before every update (loop.py): what is queued on the device runs dry once a step.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from detres.config.timm_optimizers import takes
from detres.errors import ConfigError
from detres.lookup import heeded, nearest
from detres.tables import OPTIMIZERS

_USUAL_BETAS = (0.9, 0.999)


def build_optimizer(
    model: nn.Module,
    *,
    name: str = "sgd",
    lr: float,
    momentum: float = 0.9,
    betas: tuple[float, float] = _USUAL_BETAS,
    nesterov: bool = False,
    weight_decay: float = 1e-4,
    norm_weight_decay: float | None = None,
) -> torch.optim.Optimizer:
    """An optimizer over the parameters that require a gradient.

    name: sgd with momentum, adamw, lamb (timm's, which scales the gradient to a norm of at most 1 by itself), or
    timm/NAME for any of timm's, with its own settings beside lr, momentum, betas and weight_decay; betas
    of (0.9, 0.999) leave it its own. norm_weight_decay: of norms
    and biases; None: weight_decay. A group's `lr_scale` multiplies the schedule's rate.
    Raises ConfigError where nothing is left to train, or there is no such optimizer.
    """
    groups = parameter_groups(model, weight_decay, weight_decay if norm_weight_decay is None else norm_weight_decay)
    if not groups:
        raise ConfigError(
            "the model has nothing to train: every parameter is frozen; lower model.backbone.frozen_stages"
        )
    if name not in OPTIMIZERS:
        return _build_timm(name, groups, lr=lr, momentum=momentum, betas=betas)
    build = OPTIMIZERS[name]
    return build(groups, lr, **heeded(build, {"momentum": momentum, "nesterov": nesterov, "betas": betas}))


def sgd(groups: list[dict], lr: float, *, momentum: float, nesterov: bool) -> torch.optim.Optimizer:
    return torch.optim.SGD(groups, lr=lr, momentum=momentum, nesterov=nesterov, fused=True)


def adamw(groups: list[dict], lr: float, *, betas: tuple[float, float]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True)


def lamb(groups: list[dict], lr: float, *, betas: tuple[float, float]) -> torch.optim.Optimizer:
    from timm.optim import Lamb  # importing timm takes a second

    return Lamb(groups, lr=lr, betas=betas)


def _build_timm(
    name: str, groups: list[dict], *, lr: float, momentum: float, betas: tuple[float, float]
) -> torch.optim.Optimizer:
    from timm.optim import create_optimizer_v2, list_optimizers

    own = name.removeprefix("timm/")
    if own == name or own not in list_optimizers():
        theirs = list(map(str, list_optimizers()))
        if close := nearest(name, OPTIMIZERS, 1) or [f"timm/{each}" for each in nearest(own, theirs, 1)]:
            raise ConfigError(f"optimizer.name={name}: there is no such optimizer; did you mean {close[0]}?")
        raise ConfigError(
            f"optimizer.name={name}: there are {', '.join(OPTIMIZERS)}, and timm/NAME with one of {', '.join(theirs)}"
        )
    # Left as they usually are, they are each optimizer's own.
    stated: dict[str, Any] = {"betas": betas} if betas != _USUAL_BETAS and takes(name, "betas") else {}
    return create_optimizer_v2(groups, own, lr=lr, momentum=momentum, **stated)


def parameter_groups(model: nn.Module, weight_decay: float, norm_weight_decay: float) -> list[dict]:
    """Weights in one group, norms and biases (all that has one dimension) in another, in the model's order."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    weights = [p for p in parameters if p.ndim > 1]
    others = [p for p in parameters if p.ndim <= 1]
    groups = [(weights, weight_decay), (others, norm_weight_decay)]
    return [{"params": ps, "weight_decay": decay, "lr_scale": 1.0} for ps, decay in groups if ps]


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Restore a state_dict, each tensor laid out in memory as its parameter is.

    torch's fused kernels walk memory, not indices: a buffer in another order would be applied to other weights.
    """
    optimizer.load_state_dict(state)
    for parameter, values in optimizer.state.items():
        for key, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.stride() != parameter.stride():
                values[key] = torch.empty_like(parameter).copy_(value)
