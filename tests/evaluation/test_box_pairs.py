"""Pairs of detections and objects against every pair looked at one by one."""

from __future__ import annotations

import numpy as np
import pytest

from detres.evaluation import box_pairs
from detres.evaluation.box_pairs import Overlaps, overlaps, paired_iou


def test_iou_of_boxes_that_share_a_half_touch_and_are_empty() -> None:
    boxes = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 0, 0], [0, 0, 2, 2]], float)
    others = np.array([[1, 0, 2, 2], [2, 0, 2, 2], [0, 0, 0, 0], [0, 0, 4, 4]], float)
    assert paired_iou(boxes, others).tolist() == [pytest.approx(1 / 3), 0, 0, 0.25]
    assert paired_iou(boxes, others, of_first=True).tolist() == [0.5, 0, 0, 1]


@pytest.mark.parametrize("block", [1, 3, 7, 50, 1 << 21])
@pytest.mark.parametrize("seed", range(4))
def test_pairs_are_those_of_one_group_whatever_the_size_of_a_block(
    seed: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(box_pairs, "_BLOCK", block)
    draw = np.random.default_rng(seed)
    groups, found_groups = draw.integers(0, 5, 12), draw.integers(0, 6, 20)
    boxes, found = draw.integers(1, 6, (12, 4)).astype(float), draw.integers(1, 6, (20, 4)).astype(float)
    pairs = overlaps(groups, boxes, found_groups, found, min_iou=0.2)
    expected = [
        (d, g, float(paired_iou(found[d : d + 1], boxes[g : g + 1])[0]))
        for d in range(20)
        for g in range(12)
        if groups[g] == found_groups[d]
    ]
    expected = [pair for pair in expected if pair[2] >= 0.2]
    got = zip(pairs.detection.tolist(), pairs.object.tolist(), pairs.iou.tolist(), strict=True)
    assert list(got) == expected


def test_the_best_of_equals_is_the_first() -> None:
    pairs = Overlaps(np.array([1, 1, 1, 3]), np.array([4, 5, 6, 4]), np.array([0.2, 0.7, 0.7, 0.1]))
    target, iou = pairs.best(4)
    assert target.tolist() == [-1, 5, -1, 4]
    assert iou.tolist() == [0, 0.7, 0, 0.1]


def test_nothing_pairs_with_nothing() -> None:
    nobody, no_boxes = np.zeros(0, np.int64), np.zeros((0, 4))
    one, box = np.zeros(1, np.int64), np.ones((1, 4))
    for arguments in ((nobody, no_boxes, one, box), (one, box, nobody, no_boxes), (nobody, no_boxes, nobody, no_boxes)):
        pairs = overlaps(*arguments)
        assert len(pairs.iou) == 0
        target, _ = pairs.best(len(arguments[2]))
        assert target.tolist() == [-1] * len(arguments[2])
