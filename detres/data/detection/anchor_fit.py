"""How well the anchors of a detector fit the boxes of a set, in images of the size that its recipe makes them.

I images, T boxes, A anchor shapes of a level.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detres.config.detection_schema import DataConfig
from detres.data.detection.annotations import AnnotatedImages
from detres.data.images.sizes import Rounding, resized_size

HALF = 0.5
_ALARM = 1 / 3
"""Share of boxes below negative_iou from which on it is told. COCO's small objects are 5 to 30 % of its boxes, VOC's
with the sizes of Ren et al. 10 %, and both train well; sets of specks or of strips have nearly all."""
_FEW = 3


@dataclass(frozen=True)
class AnchorShapes:
    """What the RPN lays out: for each level the (A, 2) widths and heights of its anchors, and its stride, in pixels.

    negative_iou: anchors that overlap no box as much are background. offset, fitted: as AnchorGrid takes them. pad_to:
    what the sides of a batch are multiples of.
    """

    sides: tuple[NDArray[np.float64], ...]
    strides: tuple[int, ...]
    negative_iou: float
    offset: float = 0.0
    fitted: bool = False
    pad_to: int = 1


@dataclass(frozen=True)
class Resize:
    """The shorter sides that training draws from, of which tests take the last; the limit of the longer one."""

    shortest_sides: tuple[int, ...]
    longest_side: int
    rounding: Rounding = "floor"

    @classmethod
    def of(cls, data: DataConfig) -> Resize:
        return cls(data.shortest_side, data.longest_side, data.rounding)

    def of_tests(self) -> Resize:
        return Resize(self.shortest_sides[-1:], self.longest_side, self.rounding)


@dataclass(frozen=True)
class AnchorFit:
    """The best overlap that any anchor has with a box, over the boxes that are to be found, each at every scale.

    below_negative, below_half, untouched: the shares of boxes whose best is below negative_iou, below 0.5, and zero.
    poor: the classes most of whose boxes are below negative_iou, those with the most such boxes first. held_down: the
    share of images that the limit of the longer side keeps smaller than the largest shorter side asks for.
    """

    resize: Resize
    negative_iou: float
    median: float
    below_negative: float
    below_half: float
    untouched: float
    poor: tuple[str, ...]
    held_down: float

    @property
    def hurts(self) -> bool:
        """Whether so many boxes are learned from their one best anchor alone that it is to be told."""
        return self.below_negative > _ALARM


def fit_of_anchors(dataset: AnnotatedImages, anchors: AnchorShapes, resize: Resize) -> AnchorFit | None:
    """None where there is no box to be found."""
    rows = ~dataset.ignore
    if not rows.any():
        return None
    scales = [_best_at(dataset, rows, anchors, resize, side) for side in resize.shortest_sides]
    best = np.concatenate(scales)
    poor = best < anchors.negative_iou
    return AnchorFit(
        resize=resize,
        negative_iou=anchors.negative_iou,
        median=float(np.median(best)),
        below_negative=float(poor.mean()),
        below_half=float((best < HALF).mean()),
        untouched=float((best == 0).mean()),
        poor=_poor_classes(dataset.class_names, np.tile(dataset.labels[rows], len(scales)), poor),
        held_down=_held_down(dataset, resize),
    )


def _held_down(dataset: AnnotatedImages, resize: Resize) -> float:
    shorter, longer = dataset.sizes.min(axis=1), dataset.sizes.max(axis=1)
    return float((longer * max(resize.shortest_sides) > resize.longest_side * shorter).mean())


def _best_at(
    dataset: AnnotatedImages, rows: NDArray[np.bool_], anchors: AnchorShapes, resize: Resize, side: int
) -> NDArray[np.float64]:
    """best_anchor_iou of the boxes `rows`, in images whose shorter side is made as long as `side`."""
    sizes, inverse = np.unique(dataset.sizes, axis=0, return_inverse=True)
    made = [resized_size((h, w), side, resize.longest_side, resize.rounding) for h, w in sizes.tolist()]
    resized = np.array(made)[inverse.reshape(-1)]
    owner = dataset.box_images()[rows]
    scale = (resized / dataset.sizes)[owner][:, [1, 0, 1, 0]]
    return best_anchor_iou(dataset.boxes[rows] * scale, resized[owner], anchors)


def best_anchor_iou(boxes: NDArray, image_sizes: NDArray, anchors: AnchorShapes) -> NDArray[np.float64]:
    """The highest overlap (T,) of each box (T, 4) with any anchor laid on its image, (T, 2) height and width.

    The anchors of a level stand on the cells of the padded image, a step apart. Of those with equal sides the one whose
    centre is nearest overlaps most, on each axis by itself, so that only that one is looked at.
    """
    best = np.zeros(len(boxes))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)[:, None]
    padded = -(-image_sizes[:, ::-1] // anchors.pad_to) * anchors.pad_to
    for sides, stride in zip(anchors.sides, anchors.strides, strict=True):
        cells = -(-padded // stride)
        step = padded // cells if anchors.fitted else np.full_like(padded, stride)
        first = anchors.offset * stride
        nearest = np.clip(np.round((centres - first) / step), 0, cells - 1) * step + first
        low = np.maximum(boxes[:, None, :2], nearest[:, None] - sides / 2)
        high = np.minimum(boxes[:, None, 2:], nearest[:, None] + sides / 2)
        shared = np.clip(high - low, 0, None).prod(axis=2)
        best = np.maximum(best, (shared / (areas + sides.prod(axis=1) - shared)).max(axis=1, initial=0.0))
    return best


def _poor_classes(names: tuple[str, ...], labels: NDArray[np.int64], poor: NDArray[np.bool_]) -> tuple[str, ...]:
    boxes, below = np.bincount(labels, minlength=len(names)), np.bincount(labels[poor], minlength=len(names))
    most = [label for label in np.argsort(-below, kind="stable").tolist() if 2 * below[label] > boxes[label]]
    return tuple(names[label] for label in most[:_FEW])
