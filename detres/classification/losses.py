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
    whose share is above it is as wholly there as a label's, any other not at all; such shares come unsmoothed. None:
    shares as they are. Source: Szegedy et al. 2016 (smoothing), Wightman et al. 2021 (bce).
    Raises ValueError for a threshold of cross_entropy.
    """
    from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy

    if name == "bce":
        # It takes either kind of target. Its own threshold would undo the smoothing.
        loss = BinaryCrossEntropy(smoothing=smoothing)
        return loss if target_threshold is None else ByTarget(loss, OfPresent(loss, target_threshold, smoothing))
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


class OfPresent(nn.Module):
    """A loss for the classes whose share is above the threshold, all alike."""

    def __init__(self, loss: nn.Module, threshold: float, smoothing: float) -> None:
        super().__init__()
        self.loss, self.threshold, self.smoothing = loss, threshold, smoothing

    def forward(self, logits: Tensor, shares: Tensor) -> Tensor:
        present = (shares > self.threshold).float()
        return self.loss(logits, present * (1.0 - self.smoothing) + self.smoothing / shares.shape[1])


def top1_error(logits: Tensor, targets: Tensor) -> Tensor:
    """The share of images whose best class is wrong, 0-dim on the device. Of shares, the largest is the right one."""
    labels = targets.argmax(dim=1) if targets.ndim == 2 else targets
    return (logits.detach().argmax(dim=1) != labels).float().mean()
