"""Single pieces of a detector's step on a GPU: RoIAlign and suppression, ours and torchvision's.

N images, C channels, H×W cells, R regions and B boxes of an image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torchvision.ops import batched_nms
from torchvision.ops import roi_align as torchvision_roi_align

from detres.benchmarks.gpu.clock import Call
from detres.benchmarks.gpu.entries import Entry
from detres.benchmarks.gpu.measuring import Bench, Figures, Work, measure_call
from detres.benchmarks.gpu.sizes import Operators
from detres.detection.model.roi_align import RoIAlignMethod, roi_align
from detres.detection.model.suppression_at_once import suppress_levels

_POOL, _SCALE, _SIDE = 7, 0.25, 4
_LEVELS, _IOU, _MOST = 5, 0.7, 2000
_PEER = "torchvision_float32"


def operator_entries(bench: Bench, sizes: Operators) -> list[Entry]:
    """Rows of roi_align/… and suppress/…."""
    pooling = [
        _entry(bench, sizes, f"roi_align/{kind}", name, partial(make, backward=kind == "forward_backward"))
        for kind in ("forward", "forward_backward")
        for name, make in _POOLING.items()
    ]
    return pooling + [_entry(bench, sizes, "suppress/levels", name, make) for name, make in _SUPPRESSION.items()]


Maker = Callable[[Operators, torch.device], Call]


def _entry(bench: Bench, sizes: Operators, work: str, name: str, make: Maker) -> Entry:
    return Entry(
        name=f"{work}/batch{sizes.images}/{name}",
        measure=partial(_measure, bench, sizes, make),
        batch=sizes.images,
        peer=name.startswith("torchvision"),
    )


def _measure(bench: Bench, sizes: Operators, make: Maker, batch: int) -> Figures:
    return measure_call(make(replace(sizes, images=batch), bench.device), bench, Work(images=batch))


def _maps(sizes: Operators, device: torch.device) -> Tensor:
    """(N, C, H, W) float32."""
    generator = torch.Generator().manual_seed(0)
    shape = (sizes.images, sizes.channels, sizes.cells, sizes.cells * 5 // 3)
    return torch.randn(shape, generator=generator).to(device)


def _boxes(images: int, count: int, cells: int) -> Tensor:
    """(N, count, 4) in pixels of a picture of so many cells, a tenth to a half as long; on the host."""
    generator = torch.Generator().manual_seed(1)
    height, width = cells * _SIDE, cells * 5 // 3 * _SIDE
    extent = torch.tensor([width, height], dtype=torch.float32)
    sides = extent * (0.1 + 0.4 * torch.rand(images, count, 2, generator=generator))
    corner = torch.rand(images, count, 2, generator=generator) * (extent - sides)
    return torch.cat([corner, corner + sides], dim=2)


def our_pooling(
    sizes: Operators, device: torch.device, *, method: RoIAlignMethod, dtype: torch.dtype, backward: bool
) -> Call:
    """On channels_last maps, as the network makes them."""
    maps = _maps(sizes, device).to(dtype=dtype, memory_format=torch.channels_last)
    rois = _boxes(sizes.images, sizes.regions, sizes.cells).flatten(0, 1).to(device)
    image_index = torch.arange(sizes.images, device=device).repeat_interleave(sizes.regions)
    pool = partial(roi_align, rois=rois, image_index=image_index, pool=_POOL, scale=_SCALE, method=method)
    return _both_ways(pool, maps) if backward else lambda: pool(maps)


def their_pooling(sizes: Operators, device: torch.device, *, backward: bool) -> Call:
    """torchvision's kernel as it comes: float32, NCHW."""
    rois = list(_boxes(sizes.images, sizes.regions, sizes.cells).to(device).unbind())

    def pool(maps: Tensor) -> Tensor:
        return torchvision_roi_align(maps, rois, _POOL, _SCALE, aligned=True)

    maps = _maps(sizes, device)
    return _both_ways(pool, maps) if backward else lambda: pool(maps)


def _both_ways(pool: Callable[[Tensor], Tensor], maps: Tensor) -> Call:
    leaf = maps.requires_grad_()

    def call() -> None:
        leaf.grad = None
        pooled = pool(leaf)
        pooled.backward(torch.ones_like(pooled))

    return call


_POOLING: Mapping[str, Callable[..., Call]] = {
    _PEER: their_pooling,
    "ours_rows_bf16": partial(our_pooling, method="rows", dtype=torch.bfloat16),
    "ours_kernel_bf16": partial(our_pooling, method="torchvision", dtype=torch.bfloat16),
    "ours_rows_float32": partial(our_pooling, method="rows", dtype=torch.float32),
    "ours_kernel_float32": partial(our_pooling, method="torchvision", dtype=torch.float32),
}


def scored_boxes(sizes: Operators) -> tuple[Tensor, Tensor, list[int]]:
    """What the RPN suppresses: (N, B, 4), scores (N, B) best first within a level, and how many each level has."""
    boxes = _boxes(sizes.images, sizes.boxes, sizes.cells)
    counts = [sizes.boxes // _LEVELS] * (_LEVELS - 1)
    counts.append(sizes.boxes - sum(counts))
    scores = torch.rand(boxes.shape[:2], generator=torch.Generator().manual_seed(2))
    parts = [part.sort(dim=1, descending=True).values for part in scores.split(counts, dim=1)]
    return boxes, torch.cat(parts, dim=1), counts


def our_suppression(sizes: Operators, device: torch.device) -> Call:
    """All images and levels at once."""
    boxes, scores, counts = scored_boxes(sizes)
    on_device = boxes.to(device), scores.to(device)
    valid = torch.ones_like(on_device[1], dtype=torch.bool)
    return lambda: suppress_levels(*on_device, valid, counts, _IOU, _MOST)


def their_suppression(sizes: Operators, device: torch.device) -> Call:
    """Image by image, as torchvision's RPN does it."""
    boxes, scores, counts = scored_boxes(sizes)
    levels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)).to(device)
    images = list(zip(boxes.to(device), scores.to(device), strict=True))

    def call() -> list[Tensor]:
        return [boxes[batched_nms(boxes, scores, levels, _IOU)[:_MOST]] for boxes, scores in images]

    return call


_SUPPRESSION: Mapping[str, Maker] = {"torchvision_by_image": their_suppression, "ours_at_once": our_suppression}
