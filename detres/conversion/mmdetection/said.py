"""Which of detres's keys a config of mmdetection's says, and which are as its Faster R-CNN usually has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from detres.config.loading import Layer
from detres.conversion.foreign_configs import shown
from detres.conversion.keys import asked
from detres.conversion.mmdetection.configs import StatedConfig
from detres.conversion.mmdetection.pipeline import sides_of, stats_steps
from detres.conversion.mmdetection.settings import Reading

_GENERATOR, _EXTRACTORS = (
    "model.rpn_head.anchor_generator",
    ("model.roi_head.bbox_roi_extractor", "model.bbox_roi_extractor"),
)
_TESTS = ("model.test_cfg", "test_cfg")
_BOX_HEADS = ("model.roi_head.bbox_head", "model.bbox_head")


def _below(roots: tuple[str, ...], *keys: str) -> tuple[str, ...]:
    return tuple(f"{root}.{key}" for root in roots for key in keys)


# Ours, and the paths that say it.
PATHS: Mapping[str, tuple[str, ...]] = {
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
    "model.pad_to": _below(("model.data_preprocessor", "data_preprocessor"), "pad_size_divisor"),
    "test.max_detections": _below(_TESTS, "rcnn.max_per_img"),
}


# Ours, by the section whose check fails.
_GROUPS = {
    "AnchorsConfig": "model.anchors",
    "RpnConfig": "model.rpn",
    "RoiConfig": "model.roi",
    "ModelConfig": "model",
    "DataConfig": "data",
    "TestConfig": "test",
}


def without_stated(config: StatedConfig, layers: Sequence[Layer]) -> StatedConfig:
    """The config without what `layers` state in our keys: what they say may stand for what detres cannot use.

    The style stays, which decides more than the stride, and must not be contradicted.
    """
    stated = [key for key in PATHS if key != "model.backbone.stride_in" and asked(layers, key) is not None]
    return config.without(*(path for key in stated for path in PATHS[key]))


def unusable(error: ValidationError, config: StatedConfig) -> str:
    """What the config says that detres does not take, by its names and ours, and how to say another."""
    group, problems = _GROUPS.get(error.title), []
    for details in error.errors(include_url=False):
        name = ".".join(map(str, (*([group] if group else [error.title]), *details["loc"])))
        key = next((key for key in PATHS if name == key or name.startswith(f"{key}.")), name)
        theirs = next((path for path in PATHS.get(key, ()) if config.get(path) is not None), None)
        said = f"{theirs}=" if theirs else f"what {name} is here, "
        mend = f" say another with {key}=…" if key in PATHS else " give another config"
        problems.append(f"{said}{shown(details['input'])}, which detres cannot use: {details['msg']};{mend}")
    return f"its config says {'; '.join(problems[:3])}"


def said_by(reading: Reading, values: Mapping[str, Any], *, has_bottlenecks: bool) -> dict[str, Any]:
    """Of `values`, by detres's keys, those that the config says."""
    said = {key for key, paths in PATHS.items() if reading.get(*paths) is not None}
    if sides_of(reading.stated):
        said |= {"data.shortest_side", "data.longest_side"}
    steps = [*stats_steps(reading.stated), *reading.stated.below("img_norm_cfg")]
    stats = [reading.get("model.data_preprocessor", "data_preprocessor"), *steps]
    if any(isinstance(section, Mapping) and {"mean", "std"} <= section.keys() for section in stats):
        said |= {f"model.backbone.pixel_stats.{part}" for part in ("mean", "std", "order")}
    if not has_bottlenecks:  # Two 3×3 a block stride in the first, whatever the style.
        said.discard("model.backbone.stride_in")
    return {key: values[key] for key in values if key in said}
