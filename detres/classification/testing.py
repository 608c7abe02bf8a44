"""How a classifier is tested: softmaxes are averaged over the views of an image, their mirrors, and the models.

Densely: the net is made fully convolutional. Its last map is averaged under every placement of the window that a
training crop's map fills (7×7 cells of an ImageNet net, 8×8 of a CIFAR net), fc is applied at each, and the softmaxes
are averaged over the placements. VGG's fc6 reads the cells of a placement as they are, behind the last pool.
Source: He et al. 2015, section 3.4; Simonyan & Zisserman 2014, section 3.2.
N images of a batch, V views, P placements, K classes, H×W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detres.classification.classifier import Classifier
from detres.config.classification_schema import ClassificationDataConfig, ClassificationTestConfig
from detres.data.classification.views import ViewBatch, ViewPlan, Views
from detres.devices import computing_in
from detres.errors import ConfigError, WeightsError
from detres.precision import Precision

Window = tuple[int, int]
"""Rows and columns of cells that classes are told from at once."""

USUAL_SCALES = (256,)
"""The shorter side that crops of 224 are cut at, in the paper and since."""

_KINDS: Mapping[int | str, Literal["centre", "five", "whole"]] = {1: "centre", 10: "five", "dense": "whole"}


@dataclass(frozen=True)
class Member:
    """One model and its views; an ensemble has several, each with pixels, views and an order of classes of its own.

    mirrors: whether each view's mirror counts too. rows: (K,) int64, which of the model's outputs is each of the set's
    classes; None: they are the same.
    """

    model: Classifier
    plan: ViewPlan
    mirrors: bool = False
    rows: Tensor | None = None


def member_of(
    model: Classifier, data: ClassificationDataConfig, test: ClassificationTestConfig, rows: Tensor | None = None
) -> Member:
    """The model as these sections test it; the ten crops are five and their mirrors.

    Where test.scales says nothing, images that were trained on as they are (data.cropping=pad, as CIFAR's) are tested
    as they are. The window of a dense test is that of data.crop, the training crop.
    Raises ConfigError where crops do not fit into the images.
    """
    scales = test.scales or (() if data.cropping == "pad" else USUAL_SCALES)
    crop = test.crop if test.crop and test.crops != "dense" else data.crop
    try:
        plan = ViewPlan(_KINDS[test.crops], crop, scales)
    except ValueError as error:
        raise ConfigError(f"test.scales: {error}; use larger scales, a smaller test.crop or test.crops=dense") from None
    return Member(model, plan, mirrors=test.flip or test.crops == 10, rows=rows)


def plans_of(members: Sequence[Member]) -> tuple[ViewPlan, ...]:
    """The views that must be loaded, each once."""
    return tuple(dict.fromkeys(member.plan for member in members))


def predict_views(
    members: Sequence[Member],
    batches: Iterable[ViewBatch],
    device: torch.device,
    *,
    precision: Precision = "float32",
    pixels_at_once: int = 64 * 224 * 224,
) -> Iterator[tuple[tuple[int | str, ...], NDArray[np.float32]]]:
    """(image ids, probabilities (N, K)) of each batch: the mean over views and mirrors, then over the members.

    batches: with the views of plans_of(members), in that order. pixels_at_once: of one call of a model, which bounds
    the memory whatever the views; a view that has more goes alone. The models are put into eval mode.
    Raises WeightsError where probabilities are not finite.
    """
    plans = plans_of(members)
    for member in members:
        member.model.eval()
    windows = [dense_window(m.model, m.plan.crop) if m.plan.crops == "whole" else None for m in members]
    for batch in batches:
        if not len(batch):
            continue
        found = [
            _mean_softmax(member, window, batch.views[plans.index(member.plan)], device, precision, pixels_at_once)
            for member, window in zip(members, windows, strict=True)
        ]
        mean = torch.stack(found).mean(dim=0)
        if not mean.isfinite().all():
            bad = batch.image_ids[int((~mean.isfinite()).any(dim=1).nonzero()[0])]
            raise WeightsError(f"the model's probabilities of image {bad} are not finite; its weights have diverged")
        yield batch.image_ids, mean.float().numpy()


def softmax_of(model: Classifier, pixels: Tensor, *, window: Window | None = None) -> Tensor:
    """Probabilities of views, (V, K) float32. pixels: (V, H, W, 3) uint8 RGB. window: dense where it is given."""
    images = model.normalize(pixels)
    return model.predict(images).float().softmax(dim=1) if window is None else dense_softmax(model, images, window)


def dense_softmax(model: Classifier, images: Tensor, window: Window) -> Tensor:
    """Mean softmax over all placements of the window on the last map, (V, K) float32.

    images: normalized, (V, 3, H, W). Where the map has fewer rows or columns than the window, all of them count:
    there is one placement along that side.
    """
    cells = model.last_map(images)
    height, width = (min(side, length) for side, length in zip(window, cells.shape[2:], strict=True))
    return model.placed_logits(cells, (height, width)).float().softmax(dim=2).mean(dim=1)


@torch.inference_mode()
def dense_window(model: Classifier, crop: int) -> Window:
    """The size of the last map of a training crop, in cells: asked of the model, whatever its strides and pools."""
    square = torch.zeros(1, crop, crop, 3, dtype=torch.uint8, device=next(model.parameters()).device)
    height, width = model.last_map(model.normalize(square)).shape[2:]
    return height, width


@torch.inference_mode()
def _mean_softmax(
    member: Member,
    window: Window | None,
    groups: Sequence[Views],
    device: torch.device,
    precision: Precision,
    pixels_at_once: int,
) -> Tensor:
    """(N, K) float64 on the host, over all views of each image and their mirrors, every view counting alike."""
    owners = torch.cat([group.owners for group in groups])
    count, classes = int(owners.max()) + 1, member.model.num_classes
    assert classes is not None, "a classifier has its last layer"
    # Summed on the host, in order and in float64: atomic additions on a GPU come out differently each time.
    sums = torch.zeros(count, classes, dtype=torch.float64)
    autocast = computing_in(precision, device)
    for pixels, places in _pieces(groups, pixels_at_once):
        pixels = pixels.to(device, non_blocking=True)
        with autocast:
            found = softmax_of(member.model, pixels, window=window)
            if member.mirrors:
                found = (found + softmax_of(member.model, pixels.flip(2), window=window)) / 2
        sums.index_add_(0, places, found.double().cpu())
    means = sums / owners.bincount()[:, None]
    return means if member.rows is None else means[:, member.rows]


def _pieces(groups: Sequence[Views], pixels_at_once: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Views and their owners, cut so that no piece but a single view has more pixels."""
    for group in groups:
        size = max(pixels_at_once // (group.pixels.shape[1] * group.pixels.shape[2]), 1)
        yield from zip(group.pixels.split(size), group.owners.split(size), strict=True)
