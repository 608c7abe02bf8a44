"""What mmdetection's configs may ask for and detres does not compute, found by the names they have for it.

The names of the weights tell most other networks apart; here is what leaves them as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detres.conversion.mmdetection.configs import STRIDES, StatedConfig, kind_of
from detres.conversion.mmdetection.pipeline import loses_ratio
from detres.errors import WeightsError

# Kinds of part (a path, and those that are converted), and values detres has no other of. Lists stand for tuples.
_KINDS = {
    "model": ("FasterRCNN", "MaskRCNN"),
    "model.backbone": ("ResNet",),
    "model.backbone.conv_cfg": ("Conv", "Conv2d"),
    "model.neck": ("FPN",),
    "model.neck.conv_cfg": ("Conv", "Conv2d"),
    "model.rpn_head": ("RPNHead",),
    "model.rpn_head.anchor_generator": ("AnchorGenerator", "LegacyAnchorGenerator"),
    "model.rpn_head.bbox_coder": ("DeltaXYWHBBoxCoder", "LegacyDeltaXYWHBBoxCoder"),
    "model.roi_head": ("StandardRoIHead",),
    "model.roi_head.bbox_head.bbox_coder": ("DeltaXYWHBBoxCoder", "LegacyDeltaXYWHBBoxCoder"),
    "model.roi_head.bbox_head.conv_cfg": ("Conv", "Conv2d"),
    "model.roi_head.bbox_head.cls_predictor_cfg": ("Linear",),
    "model.roi_head.bbox_head.reg_predictor_cfg": ("Linear",),
    "model.roi_head.bbox_head.loss_cls": ("CrossEntropyLoss",),
    "model.roi_head.bbox_roi_extractor": ("SingleRoIExtractor",),
    "model.roi_head.bbox_roi_extractor.roi_layer": ("RoIAlign",),
    "model.bbox_roi_extractor": ("SingleRoIExtractor",),
    "model.bbox_roi_extractor.roi_layer": ("RoIAlign",),
}
_FIXED: Mapping[str, Any] = {
    "model.backbone.strides": [1, 2, 2, 2],
    "model.backbone.dilations": [1, 1, 1, 1],
    "model.backbone.out_indices": [0, 1, 2, 3],
    "model.backbone.deep_stem": False,
    "model.backbone.avg_down": False,
    "model.neck.num_outs": 5,
    "model.neck.start_level": 0,
    "model.neck.add_extra_convs": False,
    "model.neck.upsample_cfg.mode": "nearest",
    "model.rpn_head.anchor_generator.strides": STRIDES,
    "model.rpn_head.anchor_generator.centers": None,
    "model.rpn_head.anchor_strides": STRIDES,
    "model.rpn_head.loss_cls.use_sigmoid": True,
    "model.roi_head.bbox_head.loss_cls.use_sigmoid": False,
    "model.roi_head.bbox_head.bbox_coder.clip_border": True,
    "model.roi_head.bbox_head.with_avg_pool": False,
    "model.roi_head.bbox_roi_extractor.featmap_strides": STRIDES[:4],
    "model.roi_head.bbox_roi_extractor.roi_layer.pool_mode": "avg",
    "model.bbox_roi_extractor.featmap_strides": STRIDES[:4],
    "model.test_cfg.rpn.nms_across_levels": False,
    "model.test_cfg.rpn.nms.class_agnostic": False,
    "test_cfg.rpn.nms_across_levels": False,
}


def check_convertible(stated: StatedConfig) -> None:
    """Raises WeightsError that names every setting detres has no way to compute."""
    problems = []
    for path, kinds in _KINDS.items():
        kind = kind_of(stated.get(path))
        if kind is not None and kind not in kinds:
            problems.append(f"{path}.type={kind}, expected {' or '.join(kinds)}")
    for path, known in _FIXED.items():
        value = stated.get(path, default=known)
        if value != known:
            problems.append(f"{path}={value}, expected {known}")
    if loses_ratio(stated):
        problems.append("it resizes without keep_ratio")
    if problems:
        raise WeightsError(f"its config asks for what detres does not convert: {'; '.join(problems)}")
