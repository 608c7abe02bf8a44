"""What older files of detectron2's hold in buffers: the anchors of a cell, and how pixels are normalized."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from torch import Tensor

from detres.config.loading import Layer, layer_of
from detres.conversion.detectron2.names import ANCHORS, PIXELS, LayoutName
from detres.detection.model.anchors import cell_anchors, default_sizes
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS, PixelStats

BGR_STATS = PixelStats(mean=(103.53, 116.28, 123.675), std=(1.0, 1.0, 1.0), order="bgr")


def held_layers(theirs: Mapping[str, Tensor], layout: LayoutName, order: Literal["rgb", "bgr"] | None) -> list[Layer]:
    """It in the keys of detres's configs. order: of the channels, where that is known; the file does not say.

    Raises WeightsError where it is nothing that detres has.
    """
    return [*_anchors(theirs, layout), *_pixels(theirs, order)]


def _anchors(theirs: Mapping[str, Tensor], layout: LayoutName) -> Iterator[Layer]:
    """Older files hold the anchors of a cell, newer ones only their number."""
    levels = default_sizes(5 if layout == "fpn" else 1)
    held = [theirs[f"{ANCHORS}{level}"].float() for level in range(len(levels)) if f"{ANCHORS}{level}" in theirs]
    if not held:
        return
    sizes, ratios = zip(*(_sizes_and_ratios(cell) for cell in held), strict=True)
    if len(held) != len(levels) or len(set(ratios)) != 1:
        raise WeightsError(f"anchors of {len(held)} levels and ratios {set(ratios)}, which {layout} does not have")
    yield _layer("model.anchors.sizes", sizes)
    yield _layer("model.anchors.ratios", ratios[0])


def _sizes_and_ratios(cell: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What lays these anchors (A, 4), sizes varying slowest. Raises WeightsError where nothing of ours does."""
    if cell.ndim != 2 or cell.shape[1] != 4 or not len(cell):
        raise WeightsError(f"anchors of shape {tuple(cell.shape)}, expected (A, 4)")
    width, height = (cell[:, 2] - cell[:, 0]).double(), (cell[:, 3] - cell[:, 1]).double()
    every = [round(size, 2) for size in (width * height).sqrt().tolist()]
    sizes = tuple(dict.fromkeys(every))
    ratios = tuple(round(ratio, 4) for ratio in (height / width).tolist()[: len(every) // len(sizes)])
    laid = cell_anchors(sizes, ratios)
    if laid.shape != cell.shape or not (laid - cell).abs().max() <= 0.02:
        raise WeightsError(f"anchors {cell.tolist()} are not sizes times ratios around the cell's corner")
    return sizes, ratios


def _pixels(theirs: Mapping[str, Tensor], order: Literal["rgb", "bgr"] | None) -> Iterator[Layer]:
    """In which order the channels stand, only ImageNet's means tell."""
    if not all(name in theirs for name in PIXELS):
        return
    mean, std = (tuple(round(v, 4) for v in theirs[name].flatten().tolist()) for name in PIXELS)
    orders: tuple[tuple[Literal["rgb", "bgr"], Sequence[float]], ...]
    orders = (("bgr", BGR_STATS.mean), ("rgb", IMAGENET_STATS.mean))
    for known, usual in orders:
        if order is None and len(mean) == 3 and all(abs(a - b) < 2 for a, b in zip(mean, usual, strict=True)):
            order = known
    if order is None:
        raise WeightsError(
            f"pixel_mean {mean} is ImageNet's neither in BGR nor in RGB; which of the two is not known: say "
            "model.backbone.pixel_stats.order=bgr or =rgb"
        )
    for part, value in (("mean", mean), ("std", std), ("order", order)):
        yield _layer(f"model.backbone.pixel_stats.{part}", value)


def _layer(key: str, value: object) -> Layer:
    return layer_of("in the file", key.split("."), value)
