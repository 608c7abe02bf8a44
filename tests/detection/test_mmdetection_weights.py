"""With the same weights, mmdetection's Faster R-CNN, as its rules are written down, and ours detect the same."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from detres.detection.converted import ConvertedDetector, Stated, build_converted
from detres.detection.mmdetection_weights import convert_checkpoint
from detres.structures import DetectionBatch

# 1.x and what followed have other names for the same settings; so few proposals are enough for a test.
NEW_CONFIG = """
model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=50, style={style!r}, norm_eval=True),
    neck=dict(type='FPN', num_outs=5), rpn_head=dict(type='RPNHead'),
    roi_head=dict(type='StandardRoIHead', bbox_head=dict(type='Shared2FCBBoxHead', loss_bbox=dict(type='L1Loss'))),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=150, nms=dict(type='nms', iou_threshold=0.7))))
"""
OLD_CONFIG = """
model = dict(type='FasterRCNN', backbone=dict(type='ResNet', depth=50, style={style!r}),
    bbox_roi_extractor=dict(type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', out_size=7, sample_num=2)),
    bbox_head=dict(type='SharedFCBBoxHead', loss_bbox=dict(type='SmoothL1Loss', beta=1.0, loss_weight=1.0)))
test_cfg = dict(rpn=dict(nms_pre=100, nms_post=150, max_num=150, nms_thr=0.7, nms_across_levels=False))
"""


def batch_of(rgb: Tensor) -> DetectionBatch:
    """One picture, padded to multiples of 32."""
    size = torch.tensor([rgb.shape[:2]])
    padded = nn.functional.pad(rgb, (0, 0, 0, -rgb.shape[1] % 32, 0, -rgb.shape[0] % 32))[None]
    return DetectionBatch(padded, size, size, (0,), (), torch.arange(1))


def convert(state: Mapping[str, Tensor], text: str, stated: Stated = Stated(), **meta: Any) -> ConvertedDetector:
    return convert_checkpoint(state, {"config": text, **meta}, stated, recipe="a test")


@pytest.mark.parametrize(
    ("depth", "style", "old", "agnostic", "dtype"),
    [
        (50, "pytorch", False, False, torch.float32),
        (50, "caffe", False, False, torch.float32),
        (18, "pytorch", False, True, torch.float64),
        (18, "caffe", True, False, torch.float64),
    ],
    ids=["pytorch", "caffe", "class-agnostic", "1.x"],
)
def test_detections_are_theirs(
    mmdetection: ModuleType, depth: int, style: str, old: bool, agnostic: bool, dtype: torch.dtype
) -> None:
    """A box of 1.x ends with its last pixel there."""
    rules = mmdetection.Rules(style, old, pre_nms=100, post_nms=150, agnostic=agnostic)
    state = mmdetection.random_state(depth, classes=6, rules=rules)
    detector = convert(state, (OLD_CONFIG if old else NEW_CONFIG).format(style=style))
    model = build_converted(detector, "a test").to(dtype).eval()
    rgb = mmdetection.picture(90, 120)
    expected = mmdetection.detect({name: tensor.to(dtype) for name, tensor in state.items()}, rgb, rules)
    (found,) = model.predict(batch_of(rgb))
    assert len(found) >= 20
    assert len(found.labels.unique()) >= 2
    assert mmdetection.unmatched(found.boxes, found.scores, found.labels, expected) == 0
