"""Losses of a classifier, timm's own, for labels and for shares of classes.

N images, K classes. *Labels* are (N,) int64; *shares* are (N, K), what mixing makes of labels (mixing.py).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn


def build_loss(
    name: Literal["cross_entropy", "bce"] = "cross_entropy",
    *,
    smoothing: float = 0.0,
    target_threshold: float | None = None,
) -> nn.Module:
    """A function of logits (N, K) and labels or shares: the mean over images (and, for bce, over classes).

    bce: every class is a question of its own, answered by a sigmoid. smoothing: of labels, 1 - smoothing for the class
    and the rest spread evenly over all; shares are taken to be smoothed already. target_threshold: of bce, a class
    whose share is above it counts as present (1), any other as absent (0); None: shares as they are.
    Source: Szegedy et al. 2016 (smoothing), Wightman et al. 2021 (bce).
    """
    from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy

    if name == "bce":
        # It takes either kind of target.
        return BinaryCrossEntropy(smoothing=smoothing, target_threshold=target_threshold)
    if target_threshold is not None:
        raise ValueError("target_threshold is a choice of bce; cross_entropy takes shares as they are")
    of_labels = LabelSmoothingCrossEntropy(smoothing) if smoothing else nn.CrossEntropyLoss()
    return ByTarget(of_labels, SoftTargetCrossEntropy())


class ByTarget(nn.Module):
    """One loss for labels, another for shares."""

    def __init__(self, of_labels: nn.Module, of_shares: nn.Module) -> None:
        super().__init__()
        self.of_labels, self.of_shares = of_labels, of_shares

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (self.of_shares if targets.ndim == 2 else self.of_labels)(logits, targets)


def top1_error(logits: Tensor, targets: Tensor) -> Tensor:
    """The share of images whose best class is wrong, 0-dim on the device. Of shares, the largest is the right one."""
    labels = targets.argmax(dim=1) if targets.ndim == 2 else targets
    return (logits.detach().argmax(dim=1) != labels).float().mean()
