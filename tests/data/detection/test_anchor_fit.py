from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.ops import box_iou

from detres.config.detection_schema import DataConfig
from detres.data.detection.anchor_fit import AnchorShapes, Resize, best_anchor_iou, fit_of_anchors
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.checking import check
from detres.data.detection.datasets import load_dataset

SIZES = (32.0, 64.0, 128.0, 256.0, 512.0)
ONE = AnchorShapes((np.array([[20.0, 40.0]]),), (1,), negative_iou=0.5)


def _config(root: Path, **more) -> DataConfig:
    return DataConfig(root=str(root), test=("annotations/instances_val.json",), **more)


def _layout(name: str) -> AnchorShapes:
    sides = tuple(np.array([[size / ratio**0.5, size * ratio**0.5] for ratio in (0.5, 1, 2)]) for size in SIZES)
    if name == "c4":
        return AnchorShapes((np.concatenate(sides),), (16,), negative_iou=0.3)
    return AnchorShapes(sides, (4, 8, 16, 32, 64), negative_iou=0.3, pad_to=32)


def _every_anchor(anchors: AnchorShapes, size: tuple[int, int]) -> np.ndarray:
    """All of them, laid on a padded image one by one."""
    height, width = (-(-side // anchors.pad_to) * anchors.pad_to for side in size)
    every = []
    for shapes, stride in zip(anchors.sides, anchors.strides, strict=True):
        rows, columns = -(-height // stride), -(-width // stride)
        down, across = (height // rows, width // columns) if anchors.fitted else (stride, stride)
        for row in range(rows):
            for column in range(columns):
                x, y = column * across + anchors.offset * stride, row * down + anchors.offset * stride
                every += [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for w, h in shapes.tolist()]
    return np.array(every)


@pytest.mark.parametrize("more", [{}, {"offset": 0.5}, {"fitted": True, "pad_to": 32}, {"pad_to": 32}])
def test_the_best_anchor_is_the_one_a_full_search_finds(more: dict[str, object]) -> None:
    draw = np.random.default_rng(0)
    sides = (np.array([[16.0, 16], [23, 11], [11, 23]]), np.array([[48.0, 48], [64, 32]]))
    anchors = replace(AnchorShapes(sides, (8, 48), negative_iou=0.7), **more)
    corner = draw.uniform(0, 80, size=(200, 2))
    boxes = np.concatenate([corner, corner + draw.uniform(1, 40, size=(200, 2))], axis=1)
    every = torch.from_numpy(_every_anchor(anchors, (100, 110)))
    oracle = box_iou(torch.from_numpy(boxes), every).amax(dim=1)
    ours = best_anchor_iou(boxes, np.tile([100, 110], (200, 1)), anchors)
    np.testing.assert_allclose(ours, oracle.numpy(), atol=1e-12)


def test_a_box_of_four_pixels_between_the_anchors_by_hand() -> None:
    """On a grid of 16 its best anchor of 32 x 32 holds it whole: 16 of 1024 pixels."""
    anchors = AnchorShapes((np.array([[32.0, 32.0]]),), (16,), negative_iou=0.3)
    best = best_anchor_iou(np.array([[6.0, 6, 10, 10]]), np.array([[64, 64]]), anchors)
    assert best.tolist() == [16 / 1024]


def test_boxes_are_held_against_anchors_after_the_resize(coco_root: Path) -> None:
    # Images become twice as large: the car of 10 by 20 fits the anchor, the clipped one of 10 by 10 fits half of it,
    # and the toothbrush of 4 by 5 a tenth.
    (report,) = check(_config(coco_root, shortest_side=(80,)), anchors=ONE, decode=False)
    assert report.fit is not None
    assert (report.fit.median, report.fit.untouched) == (pytest.approx(0.5, abs=0.01), 0)
    assert report.fit.below_negative == pytest.approx(1 / 3)
    assert report.fit.poor == ("toothbrush",)
    (report,) = check(_config(coco_root), decode=False)
    assert report.fit is None


def test_every_scale_that_training_draws_counts_and_tests_have_the_last(coco_root: Path) -> None:
    dataset = load_dataset(_config(coco_root), "test")
    once, twice = (fit_of_anchors(dataset, ONE, Resize((side,), 1333)) for side in (40, 80))
    both = fit_of_anchors(dataset, ONE, Resize((40, 80), 1333))
    assert once is not None
    assert twice is not None
    assert both is not None
    assert both.below_half == pytest.approx((once.below_half + twice.below_half) / 2)
    assert Resize((40, 80), 1333).of_tests() == Resize((80,), 1333)
    (report,) = check(_config(coco_root, shortest_side=(40, 80)), anchors=ONE, decode=False)
    assert report.fit == twice
    (report,) = check(_config(coco_root), anchors=ONE, resized=lambda _: Resize((40, 80), 1333), decode=False)
    assert report.fit == twice


def test_pictures_that_the_longer_side_keeps_small_are_counted(coco_root: Path) -> None:
    dataset = load_dataset(_config(coco_root), "test")
    assert len(dataset) == 3
    sizes = np.array([[40, 60], [40, 60], [40, 200]])
    fits = [fit_of_anchors(replace(dataset, sizes=sizes), ONE, Resize((80,), longest)) for longest in (120, 119, 400)]
    assert [fit and fit.held_down for fit in fits] == [1 / 3, 1.0, 0.0]


def test_without_boxes_nothing_is_said_of_anchors(coco_root: Path) -> None:
    dataset = load_dataset(_config(coco_root), "test")
    assert len(best_anchor_iou(np.zeros((0, 4)), np.zeros((0, 2), dtype=np.int64), ONE)) == 0
    assert fit_of_anchors(dataset.select_boxes(np.array([], dtype=np.int64)), ONE, Resize((80,), 1333)) is None
    assert fit_of_anchors(replace(dataset, ignore=np.ones_like(dataset.ignore)), ONE, Resize((80,), 1333)) is None


def test_a_box_that_no_anchor_touches_is_told_apart(coco_root: Path) -> None:
    dataset = load_dataset(_config(coco_root), "test")
    specks = AnchorShapes((np.array([[2.0, 2.0]]),), (64,), negative_iou=0.3)
    fit = fit_of_anchors(dataset, specks, Resize((40,), 1333))
    assert fit is not None
    assert fit.untouched > 0.5
    assert fit.hurts


@pytest.mark.parametrize("layout", ["fpn", "c4"])
@pytest.mark.parametrize("side", [(4, 4), (200, 10), (10, 200)])
def test_specks_and_strips_raise_an_alarm(
    one_class: Callable[[np.ndarray], AnnotatedImages], layout: str, side: tuple[int, int]
) -> None:
    corner = np.random.default_rng(0).uniform(0, 400, size=(100, 2))
    fit = fit_of_anchors(
        one_class(np.concatenate([corner, corner + side], axis=1)), _layout(layout), Resize((640,), 640)
    )
    assert fit is not None
    assert fit.hurts
    assert fit.below_negative > 0.9


@pytest.fixture
def one_class(coco_root: Path) -> Callable[[np.ndarray], AnnotatedImages]:
    """An image of 640 x 640 pixels with these boxes, all of one class."""

    def make(boxes: np.ndarray) -> AnnotatedImages:
        dataset = load_dataset(_config(coco_root), "test").subset([0])
        count = len(boxes)
        return replace(
            dataset,
            sizes=np.array([[640, 640]]),
            offsets=np.array([0, count]),
            boxes=boxes.astype(np.float32),
            labels=np.zeros(count, np.int64),
            ignore=np.zeros(count, bool),
        )

    return make


@pytest.mark.parametrize("layout", ["fpn", "c4"])
@pytest.mark.parametrize("real", ["bccd", "voc", "coco"])
def test_no_alarm_is_raised_on_sets_that_train_well(real_data: Path, layout: str, real: str) -> None:
    keys = {
        "bccd": {"format": "voc", "root": str(real_data / "bccd"), "train": ("train",)},
        "voc": {"format": "voc", "root": str(real_data / "voc2007"), "train": ("2007/trainval",)},
        "coco": {"root": str(real_data / "coco128"), "train": ("annotations/instances_train2017.json",)},
    }
    dataset = load_dataset(DataConfig(**keys[real]), "train")
    fit = fit_of_anchors(dataset, _layout(layout), Resize((600,), 1000))
    assert fit is not None
    assert not fit.hurts
    assert fit.median > 0.5
