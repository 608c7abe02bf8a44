"""Normalization layers, and the one convolution that a convolution and a frozen norm really are.

N images, C channels, H×W cells.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol, TypeGuard, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from detres.tables import NORMS

Norm = Literal["batch", "frozen", "sync", "group"]

GROUPS = 32  # of group norm: Wu & He 2018, figure 1

M = TypeVar("M", bound=nn.Module)


class FixedNorm(Protocol):
    """A norm by statistics: (x - running_mean) / sqrt(running_var + eps) · weight + bias, all (C,)."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    eps: float


def _is_recorded() -> bool:
    """Whether a program is being made of what is computed: it is to read the buffers, not constants."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        return True
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def _state(buffer: Tensor) -> tuple[int, int]:
    """What differs once a buffer was written to, or given other memory."""
    try:
        return buffer._version, buffer.data_ptr()
    except RuntimeError:  # A wrapper, which has no memory of its own.
        return buffer._version, 0


@dataclass(frozen=True)
class _KnownAffine:
    """result: of `affine`, for buffers that were in these states."""

    buffers: tuple[Tensor, ...]
    states: tuple[tuple[int, int], ...]
    result: tuple[Tensor, Tensor]

    def is_of(self, buffers: tuple[Tensor, ...]) -> bool:
        return all(
            now is then and _state(now) == state
            for now, then, state in zip(buffers, self.buffers, self.states, strict=True)
        )


class FrozenBatchNorm(nn.Module):
    """Batch normalization whose statistics and affine map are constants, stored under torchvision's names.

    It has no mode: .train() changes nothing. (N, C, H, W) -> (N, C, H, W).
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor
    _known: _KnownAffine | None = None

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Computed once for the values that the buffers have; a write past autograd's count (numpy) is not seen."""
        buffers = (self.weight, self.bias, self.running_mean, self.running_var)
        if _is_recorded() or any(buffer.is_inference() for buffer in buffers):
            return affine(self)  # Tensors of inference mode do not count their versions.
        if self._known is None or not self._known.is_of(buffers):
            with torch.inference_mode(False), torch.no_grad():
                result = affine(self)
            # What some mode wrapped is of that mode, and of nobody after it.
            if any(type(part) is not type(buffer) for part, buffer in zip(result, buffers, strict=False)):
                return result
            self._known = _KnownAffine(buffers, tuple(map(_state, buffers)), result)
        return self._known.result

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_known": None}

    def forward(self, x: Tensor) -> Tensor:
        scale, shift = self.affine()
        return x * scale[:, None, None] + shift[:, None, None]

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, eps={self.eps}"

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        # Trainable batch norm counts its batches; a constant has no use for the count.
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args)


def make_norm(kind: Norm, channels: int, eps: float) -> nn.Module:
    """The norm behind a convolution of so many channels. Raises ValueError where there is none of this name."""
    if kind not in NORMS:
        raise ValueError(f"norm {kind!r} is none of {', '.join(NORMS)}")
    return NORMS[kind](channels, eps=eps)


def group_norm(channels: int, *, eps: float) -> nn.GroupNorm:
    # The CIFAR nets start with 16 channels, fewer than the groups.
    return nn.GroupNorm(min(GROUPS, channels), channels, eps=eps)


def affine(norm: FixedNorm) -> tuple[Tensor, Tensor]:
    """The scale and the shift, each (C,), that a norm with fixed statistics applies to its input."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    return scale, norm.bias - norm.running_mean * scale


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.Module) -> Tensor:
    """norm(conv(x)), as one convolution where the norm is a constant map.

    Scaling the weights of a convolution costs far less than scaling its output, and nothing but the input has to be
    kept for the backward pass; the gradient reaches conv.weight through the product. A module somebody hooked is
    called, so that hooks see what they always see.
    """
    if conv._forward_hooks or norm._forward_hooks or not _is_constant(norm):
        return norm(conv(x))
    scale, shift = norm.affine() if isinstance(norm, FrozenBatchNorm) else affine(norm)
    if conv.bias is not None:
        shift = shift + conv.bias * scale
    weight = conv.weight * scale[:, None, None, None]
    return F.conv2d(x, weight, shift, conv.stride, conv.padding, conv.dilation, conv.groups)


def _is_constant(norm: nn.Module) -> TypeGuard[FixedNorm]:
    if isinstance(norm, FrozenBatchNorm):
        return True
    # In eval mode the affine map is constant, but still learned from where gradients are asked for.
    is_batch_norm = isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
    return is_batch_norm and not norm.training and not torch.is_grad_enabled()


def freeze_norms(module: nn.Module) -> None:
    """Replace every batch norm below `module` by the frozen one with the same statistics, in place."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            setattr(parent, name, frozen(child))


def frozen(norm: nn.Module) -> nn.Module:
    """The constant that a batch norm is in eval mode; anything else as it is."""
    if type(norm) is nn.BatchNorm2d or type(norm) is nn.SyncBatchNorm:
        constant = FrozenBatchNorm(norm.num_features, norm.eps)
        for name in ("weight", "bias", "running_mean", "running_var"):
            setattr(constant, name, getattr(norm, name).detach().clone())
        return constant
    return norm


def fold_norms(module: M) -> M:
    """A copy for prediction: in eval mode, without gradients, every constant norm folded into its convolution.

    A norm is folded where it was registered right behind a convolution with as many channels, as in all of detres's
    modules, and becomes nn.Identity; group norms stay.
    """
    folded = copy.deepcopy(module).eval().requires_grad_(False)
    with torch.no_grad():
        for parent in list(folded.modules()):
            children = list(parent.named_children())
            for (conv_name, conv), (norm_name, norm) in pairwise(children):
                if type(conv) is nn.Conv2d and _fits_behind(norm, conv.out_channels):
                    setattr(parent, conv_name, _fold(conv, norm))
                    setattr(parent, norm_name, nn.Identity())
    return folded


def _fits_behind(norm: nn.Module, channels: int) -> TypeGuard[FixedNorm]:
    # Exact types: subclasses, such as timm's, may hold an activation as well.
    if type(norm) is FrozenBatchNorm or type(norm) is nn.BatchNorm2d or type(norm) is nn.SyncBatchNorm:
        return len(norm.weight) == channels
    return False


def _fold(conv: nn.Conv2d, norm: FixedNorm) -> nn.Conv2d:
    scale, shift = affine(norm)
    folded = copy.deepcopy(conv)
    folded.weight = nn.Parameter(conv.weight * scale[:, None, None, None], requires_grad=False)
    bias = shift if conv.bias is None else shift + conv.bias * scale
    folded.bias = nn.Parameter(bias, requires_grad=False)
    return folded
