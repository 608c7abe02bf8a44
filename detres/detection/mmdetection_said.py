"""Which of detres's keys a config of mmdetection's says, and which are as its Faster R-CNN usually has them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detres.detection.mmdetection_pipeline import sides_of, stats_steps
from detres.detection.mmdetection_settings import Reading

_GENERATOR, _EXTRACTORS = (
    "model.rpn_head.anchor_generator",
    ("model.roi_head.bbox_roi_extractor", "model.bbox_roi_extractor"),
)
_TESTS = ("model.test_cfg", "test_cfg")
_BOX_HEADS = ("model.roi_head.bbox_head", "model.bbox_head")


def _below(roots: tuple[str, ...], *keys: str) -> tuple[str, ...]:
    return tuple(f"{root}.{key}" for root in roots for key in keys)


# Ours, and the paths that say it.
_PATHS: Mapping[str, tuple[str, ...]] = {
    "model.anchors.sizes": (
        *_below((_GENERATOR,), "scales", "octave_base_scale", "base_sizes"),
        *_below(("model.rpn_head",), "anchor_scales", "anchor_base_sizes"),
    ),
    "model.anchors.ratios": (f"{_GENERATOR}.ratios", "model.rpn_head.anchor_ratios"),
    "model.anchors.offset": (f"{_GENERATOR}.center_offset",),
    "model.backbone.stride_in": ("model.backbone.style",),
    "model.rpn.pre_nms_test": _below(_TESTS, "rpn.nms_pre"),
    "model.rpn.post_nms_test": _below(_TESTS, "rpn.max_per_img", "rpn.max_num"),
    "model.rpn.nms": _below(_TESTS, "rpn.nms.iou_threshold", "rpn.nms.iou_thr", "rpn.nms_thr"),
    "model.rpn.min_size": _below(_TESTS, "rpn.min_bbox_size"),
    "model.rpn.codec_weights": _below(("model.rpn_head",), "bbox_coder.target_stds", "target_stds"),
    "model.roi.sampling_ratio": _below(_EXTRACTORS, "roi_layer.sampling_ratio", "roi_layer.sample_num"),
    "model.roi.aligned": _below(_EXTRACTORS, "roi_layer.aligned"),
    "model.roi.codec_weights": _below(_BOX_HEADS, "bbox_coder.target_stds", "target_stds"),
    "test.score": _below(_TESTS, "rcnn.score_thr"),
    "test.nms": _below(_TESTS, "rcnn.nms.iou_threshold", "rcnn.nms.iou_thr"),
    "test.max_detections": _below(_TESTS, "rcnn.max_per_img"),
}


def said_by(reading: Reading, values: Mapping[str, Any], *, has_bottlenecks: bool) -> dict[str, Any]:
    """Of `values`, by detres's keys, those that the config says."""
    said = {key for key, paths in _PATHS.items() if reading.get(*paths) is not None}
    if sides_of(reading.stated):
        said |= {"data.shortest_side", "data.longest_side"}
    steps = [*stats_steps(reading.stated), *reading.stated.below("img_norm_cfg")]
    stats = [reading.get("model.data_preprocessor", "data_preprocessor"), *steps]
    if any(isinstance(section, Mapping) and {"mean", "std"} <= section.keys() for section in stats):
        said |= {f"model.backbone.pixel_stats.{part}" for part in ("mean", "std", "order")}
    if not has_bottlenecks:  # Two 3×3 a block stride in the first, whatever the style.
        said.discard("model.backbone.stride_in")
    return {key: values[key] for key in values if key in said}
