"""The nouns that walk through detres.

One box convention everywhere inside: xyxy, float32, continuous pixel edges of the image the docstring names
(a box that covers the first pixel alone is 0, 0, 1, 1). Labels are 0..K-1; background is K.
Images are uint8 RGB (H, W, 3) until they reach the device.

N images, M boxes of a target, D detections, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal, Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class FeatureSpec:
    """What a feature map declares of itself; stride is in input pixels per cell."""

    channels: int
    stride: int


@dataclass(frozen=True)
class PixelStats:
    """How pixels are normalized: (value - mean) / std on the 0..255 scale, channels in `order`."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    order: Literal["rgb", "bgr"] = "rgb"


IMAGENET_STATS = PixelStats(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375))


@dataclass(frozen=True)
class _Rows:
    """Operations that act on every Tensor field alike, so that a subclass with masks needs none of its own.

    Every Tensor field has one row a box; what is not a Tensor belongs to the image and is kept.
    """

    def _tensor_names(self) -> list[str]:
        return [f.name for f in fields(self) if isinstance(getattr(self, f.name), Tensor)]

    def __len__(self) -> int:
        return len(getattr(self, self._tensor_names()[0]))

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        tensors = (getattr(self, name) for name in self._tensor_names())
        return self._with_tensors(tensor.to(device, non_blocking=non_blocking) for tensor in tensors)

    def _with_tensors(self, tensors: Iterator[Tensor]) -> Self:
        """Its tensors replaced by the next ones, in their order."""
        return replace(self, **{name: next(tensors) for name in self._tensor_names()})

    def select(self, index: Tensor) -> Self:
        """Rows by a bool mask (M,) or integer indices."""
        return replace(self, **{n: getattr(self, n)[index] for n in self._tensor_names()})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """All rows of one or more parts, in order; fields of the image are the first part's."""
        first = parts[0]
        return replace(first, **{n: torch.cat([getattr(p, n) for p in parts]) for n in first._tensor_names()})


@dataclass(frozen=True)
class DetectionTarget(_Rows):
    """Ground truth of one image.

    boxes: (M, 4) float32. labels: (M,) int64. ignore: (M,) bool, COCO's crowd and VOC's difficult. M may be 0.
    none_ignored: the host knows that no box is under `ignore`; False: it does not know. Stated anew by whoever replaces
    `ignore` where the host does not look, on a device.
    """

    boxes: Tensor
    labels: Tensor
    ignore: Tensor
    none_ignored: bool = field(default=False, kw_only=True)

    @classmethod
    def empty(cls) -> DetectionTarget:
        return cls(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool))

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        return replace(super().concatenate(parts), none_ignored=all(part.none_ignored for part in parts))

    def with_ignored_counted(self) -> Self:
        """none_ignored as it is, where the boxes are on the host."""
        return self if self.ignore.device.type != "cpu" else replace(self, none_ignored=not bool(self.ignore.any()))


def move_together(tensors: Sequence[Tensor], device: torch.device | str, *, non_blocking: bool = False) -> list[Tensor]:
    """The tensors on the device: from the host to an accelerator by one pinned copy for all of a dtype."""
    target = torch.device(device)
    if target.type != "cuda" or not non_blocking or any(tensor.device.type != "cpu" for tensor in tensors):
        return [tensor.to(device, non_blocking=non_blocking) for tensor in tensors]
    moved: dict[int, Tensor] = {}
    for dtype in {tensor.dtype: None for tensor in tensors}:
        places = [place for place, tensor in enumerate(tensors) if tensor.dtype == dtype]
        block = torch.cat([tensors[place].flatten() for place in places]).pin_memory().to(target, non_blocking=True)
        parts = block.split([tensors[place].numel() for place in places])
        moved |= {place: part.view(tensors[place].shape) for place, part in zip(places, parts, strict=True)}
    return [moved[place] for place in range(len(tensors))]


def _move_targets(
    targets: Sequence[DetectionTarget], others: Sequence[Tensor], device: torch.device | str, non_blocking: bool
) -> tuple[tuple[DetectionTarget, ...], list[Tensor]]:
    """The targets, and whatever else is as small, together."""
    known = [target.with_ignored_counted() for target in targets]
    if any(type(target).to is not DetectionTarget.to for target in known):  # It has more to move than rows.
        apart = tuple(target.to(device, non_blocking=non_blocking) for target in known)
        return apart, move_together(others, device, non_blocking=non_blocking)
    tensors = [*others, *(getattr(target, name) for target in known for name in target._tensor_names())]
    moved = move_together(tensors, device, non_blocking=non_blocking)
    rows = iter(moved[len(others) :])
    return tuple(target._with_tensors(rows) for target in known), moved[: len(others)]


@dataclass(frozen=True)
class Detections(_Rows):
    """Detections of one image, best first.

    boxes: (D, 4) float32 in pixels of the image. scores: (D,) float32 in 0..1. labels: (D,) int64.
    image_size: (height, width) of the image the boxes lie in.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor
    image_size: tuple[int, int]

    def above(self, score: float) -> Self:
        """Those whose score is at least `score`."""
        return self.select(self.scores >= score)

    def to_dict(self) -> dict[str, list]:
        """Plain lists, ready for JSON: boxes (xyxy), scores, labels."""
        return {n: getattr(self, n).tolist() for n in self._tensor_names()}


@dataclass(frozen=True)
class DetectionBatch:
    """Images of one step, padded at the right and the bottom to one size.

    images: (N, H, W, 3) uint8 RGB. sizes: (N, 2) int64, unpadded height and width.
    original_sizes: (N, 2) int64, height and width of the image file. image_ids: N ids.
    targets: N DetectionTargets in pixels of the resized images, or () where nothing is to be learned.
    sample_keys: (N,) int64, from which anchors and RoIs of each image are sampled.
    """

    images: Tensor
    sizes: Tensor
    original_sizes: Tensor
    image_ids: tuple[int | str, ...]
    targets: tuple[DetectionTarget, ...]
    sample_keys: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> DetectionBatch:
        small = (self.sizes, self.original_sizes, self.sample_keys)
        targets, (sizes, original_sizes, sample_keys) = _move_targets(self.targets, small, device, non_blocking)
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            sizes=sizes,
            original_sizes=original_sizes,
            sample_keys=sample_keys,
            targets=targets,
        )

    def pin_memory(self) -> DetectionBatch:
        """Images dominate, so the rest stays where it is."""
        return replace(self, images=self.images.pin_memory())


@dataclass(frozen=True)
class ClassificationBatch:
    """Images of one size.

    images: (N, H, W, 3) uint8 RGB. labels: (N,) int64. image_ids: N ids.
    sample_keys: (N,) int64, from which what differs between images (colours) is drawn on the device. key: from which
    what is drawn once for the batch (mixing) is drawn on the host. Both are None where nothing is to be drawn.
    """

    images: Tensor
    labels: Tensor
    image_ids: tuple[int | str, ...]
    sample_keys: Tensor | None = None
    key: int | None = None

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> ClassificationBatch:
        def move(t: Tensor) -> Tensor:
            return t.to(device, non_blocking=non_blocking)

        keys = None if self.sample_keys is None else move(self.sample_keys)
        return replace(self, images=move(self.images), labels=move(self.labels), sample_keys=keys)

    def pin_memory(self) -> ClassificationBatch:
        return replace(self, images=self.images.pin_memory())


@dataclass(frozen=True)
class LocalizationBatch:
    """Crops of one size, each of an image that shows one class, once or several times.

    images: (N, S, S, 3) uint8 RGB. labels: (N,) int64, the class of each image. targets: N DetectionTargets of that
    class in pixels of the crops; one without boxes is an image whose object is elsewhere. image_ids: N ids.
    sample_keys: (N,) int64, from which anchors of each image are sampled.
    """

    images: Tensor
    labels: Tensor
    targets: tuple[DetectionTarget, ...]
    image_ids: tuple[int | str, ...]
    sample_keys: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> LocalizationBatch:
        small = (self.labels, self.sample_keys)
        targets, (labels, sample_keys) = _move_targets(self.targets, small, device, non_blocking)
        images = self.images.to(device, non_blocking=non_blocking)
        return replace(self, images=images, labels=labels, targets=targets, sample_keys=sample_keys)

    def pin_memory(self) -> LocalizationBatch:
        return replace(self, images=self.images.pin_memory())
