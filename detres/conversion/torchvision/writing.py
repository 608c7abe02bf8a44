"""A detector of detres's as torchvision's: a state dict, and the Python that builds the model it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from detres.backbones.weights.metadata import WeightsMetadata
from detres.conversion.converted import Stated
from detres.conversion.handing_back import HandedBack, computed_otherwise, resnet_settings
from detres.conversion.keys import overrides_from
from detres.conversion.renaming import rename, turned
from detres.conversion.torchvision.reading import (
    data_settings,
    model_settings,
    name_pairs,
    test_settings,
    understand,
)
from detres.detection.files import DetectorSettings
from detres.detection.model.anchors import default_sizes
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS, PixelStats

# What _python has an argument or a line for; pixel order is in the weights.
_CARRIED = frozenset(
    {
        *("model.anchors.sizes", "model.anchors.ratios", "model.anchors.rounded", "model.rpn.pre_nms_test"),
        *("model.rpn.post_nms_test", "model.rpn.nms", "model.roi.sampling_ratio", "model.roi.canonical_size"),
        *("model.roi.canonical_level", "model.roi.codec_weights", "test.score", "test.nms", "test.max_detections"),
        *("data.shortest_side", "data.longest_side", "model.backbone.stride_in", "model.backbone.pool"),
        *("model.backbone.norm_eps", "model.backbone.pixel_stats.mean", "model.backbone.pixel_stats.std"),
        "model.backbone.pixel_stats.order",
    }
)


def to_torchvision(tensors: Mapping[str, Tensor], settings: DetectorSettings) -> HandedBack:
    """Raises WeightsError where torchvision has no such model."""
    _, known = resnet_settings(settings)
    is_v2 = _is_v2(settings, known)
    theirs, unknown = rename(_with_rgb(tensors, known), turned(name_pairs(settings.model.roi.head_convs)))
    if unknown:
        raise WeightsError(f"torchvision has no place for {', '.join(unknown[:3])} ({len(unknown)} names)")
    for part in ("weight", "bias"):
        logits, deltas = (theirs[f"roi_heads.box_predictor.{name}.{part}"] for name in ("cls_score", "bbox_pred"))
        theirs[f"roi_heads.box_predictor.cls_score.{part}"] = torch.cat([logits[-1:], logits[:-1]])
        # The background's box, which nobody reads.
        theirs[f"roi_heads.box_predictor.bbox_pred.{part}"] = torch.cat([torch.zeros_like(deltas[:4]), deltas])
    names = settings.model.class_names
    otherwise = computed_otherwise(
        settings,
        WeightsMetadata(known.architecture, IMAGENET_STATS),
        model_settings(theirs, names, norm_eps=known.norm_eps),
        data_settings(),
        test_settings(),
        carried=_CARRIED,
    )
    again = understand(theirs, Stated(), "")
    coming_back = overrides_from(again, replace(settings, backbone=replace(known, pixel_stats=_rgb(known.pixel_stats))))
    return HandedBack(theirs, _python(settings, known, is_v2), otherwise, coming_back)


def _rgb(stats: PixelStats) -> PixelStats:
    return stats if stats.order == "rgb" else PixelStats(stats.mean[::-1], stats.std[::-1], "rgb")


def _is_v2(settings: DetectorSettings, known: WeightsMetadata) -> bool:
    """Which of its two forms this is: v1 (two layers in the head), or v2 (four convolutions, batch norm; ResNet-50)."""
    model, roi = settings.model, settings.model.roi
    if model.layout != "fpn":
        raise WeightsError(
            f"torchvision has Faster R-CNN with FPN only, and this is {model.layout}; --to detectron2 takes it"
        )
    head = (model.rpn.convs, roi.head_convs, roi.head_fcs, model.fpn.norm, roi.head_norm if roi.head_convs else "none")
    widths = {model.fpn.channels, 256} | ({roi.head_conv_channels} if roi.head_convs else set())
    forms = {(1, 0, 2, "none", "none"): False, (2, 4, 1, "batch", "batch"): True}
    anchors = (len((model.anchors.sizes or default_sizes(5))[0]), len(model.anchors.ratios))
    problems = {
        "model.rpn.convs, roi.head_convs, roi.head_fcs, fpn.norm and roi.head_norm": head not in forms,
        "model.fpn.channels or roi.head_conv_channels": widths != {256},
        "model.roi.head_fc_channels": roi.head_fc_channels != 1024,
        "model.roi.pool": roi.pool not in (None, 7),
        "model.roi.class_agnostic": roi.class_agnostic,
        "model.anchors, which are not one size a level in three ratios": anchors != (1, 3),
        "the backbone, ResNet-50 in this form": forms.get(head, False) and known.architecture != "resnet50",
    }
    if named := [what for what, is_wrong in problems.items() if is_wrong]:
        raise WeightsError(f"torchvision has no such model because of {'; '.join(named)}; --to detectron2 takes more")
    return forms[head]


def _with_rgb(tensors: Mapping[str, Tensor], known: WeightsMetadata) -> dict[str, Tensor]:
    """The first convolution with its inputs in torchvision's order."""
    turns = known.pixel_stats.order == "bgr"
    first = "backbone.conv1.weight"
    return {**tensors, first: tensors[first].flip(1) if turns else tensors[first]}


def _python(settings: DetectorSettings, known: WeightsMetadata, is_v2: bool) -> tuple[str, ...]:
    """Lines that build the model; FILE stands for the state dict."""
    call = _call(settings, known, is_v2)
    lines = ["import torch", *call, 'model.load_state_dict(torch.load("FILE", weights_only=True))', "model.eval()"]
    if known.norm_eps != 1e-5:
        lines += [
            "for norm in model.backbone.body.modules():",
            '    if hasattr(norm, "running_var"):',
            f"        norm.eps = {known.norm_eps!r}",
        ]
    if known.stride_in == "1x1":
        lines += [
            'for layer in ("layer2", "layer3", "layer4"):',
            "    first = model.backbone.body[layer][0]",
            "    first.conv1.stride, first.conv2.stride = (2, 2), (1, 1)",
        ]
    if known.pool == "caffe":
        lines += ['model.backbone.body["maxpool"] = torch.nn.MaxPool2d(3, 2, ceil_mode=True)']
    return (*lines, *_anchor_lines(settings), *_pool_lines(settings))


def _call(settings: DetectorSettings, known: WeightsMetadata, is_v2: bool) -> list[str]:
    arguments: dict[str, Any] = {"num_classes": len(settings.model.class_names or ()) + 1} | _arguments(settings, known)
    given = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
    place = "torchvision.models.detection"
    if known.architecture == "resnet50":
        build = "fasterrcnn_resnet50_fpn_v2" if is_v2 else "fasterrcnn_resnet50_fpn"
        return [f"from {place} import {build}", f"model = {build}(weights=None, weights_backbone=None, {given})"]
    return [
        f"from {place} import FasterRCNN",
        f"from {place}.backbone_utils import resnet_fpn_backbone",
        f'model = FasterRCNN(resnet_fpn_backbone(backbone_name="{known.architecture}", weights=None), {given})',
    ]


def _arguments(settings: DetectorSettings, known: WeightsMetadata) -> dict[str, Any]:
    """Those of FasterRCNN that are not its defaults."""
    model, test, data, stats = settings.model, settings.test, settings.preprocessing, known.pixel_stats
    step = -1 if stats.order == "bgr" else 1
    wanted = {
        "min_size": (data.shortest_side[-1], 800),
        "max_size": (data.longest_side, 1333),
        # Of pixels in 0..1.
        "image_mean": ([v / 255 for v in stats.mean[::step]], [v / 255 for v in IMAGENET_STATS.mean]),
        "image_std": ([v / 255 for v in stats.std[::step]], [v / 255 for v in IMAGENET_STATS.std]),
        "rpn_pre_nms_top_n_test": (model.rpn.pre_nms_test, 1000),
        "rpn_post_nms_top_n_test": (model.rpn.post_nms_test, 1000),
        "rpn_nms_thresh": (model.rpn.nms, 0.7),
        "box_score_thresh": (test.score, 0.05),
        "box_nms_thresh": (test.nms, 0.5),
        "box_detections_per_img": (test.max_detections, 100),
        "bbox_reg_weights": (model.roi.codec_weights, (10.0, 10.0, 5.0, 5.0)),
    }
    return {name: value for name, (value, usual) in wanted.items() if value != usual}


def _anchor_lines(settings: DetectorSettings) -> list[str]:
    """Sizes, ratios, and corners that are not rounded; torchvision's generator would round them."""
    anchors = settings.model.anchors
    sizes = [size for (size,) in anchors.sizes or default_sizes(5)]
    if anchors.rounded and (sizes, anchors.ratios) == ([32.0, 64.0, 128.0, 256.0, 512.0], (0.5, 1.0, 2.0)):
        return []
    rounding = ".round()" if anchors.rounded else ""
    return [
        f"root = torch.tensor({list(anchors.ratios)}).sqrt()",
        "model.rpn.anchor_generator.cell_anchors = [",
        f"    (torch.stack([-size / root, -size * root, size / root, size * root], 1) / 2){rounding}",
        f"    for size in {sizes}",
        "]",
    ]


def _pool_lines(settings: DetectorSettings) -> list[str]:
    roi = settings.model.roi
    if (roi.sampling_ratio, roi.canonical_size, roi.canonical_level) == (2, 224.0, 4):
        return []
    return [
        "from torchvision.ops import MultiScaleRoIAlign",
        'model.roi_heads.box_roi_pool = MultiScaleRoIAlign(["0", "1", "2", "3"], 7, '
        f"{roi.sampling_ratio}, canonical_scale={roi.canonical_size}, canonical_level={roi.canonical_level})",
    ]
