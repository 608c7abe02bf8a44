"""Faster R-CNN checkpoints of detectron2's model zoo (R50, R101; C4, DC5, FPN), as detres's names and settings.

What the file does not say is as in the zoo: stride in the 1x1, BGR means without deviations, a padded max pool, norm
eps 1e-5, aligned RoIAlign with as many samples as a bin has cells, RoI levels without a tolerance, exact anchors of
32..512 pixels, and sides rounded to the nearest pixel; docs/conversions.md has the table. A file of other settings
would load, too, and detect worse, so what was assumed is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from detres.array_pickle import read_array_pickle
from detres.backbones.architectures import BACKBONES, StrideIn
from detres.backbones.metadata import WeightsMetadata
from detres.config.schema import (
    AnchorsConfig,
    DataConfig,
    DetectorBackboneConfig,
    FpnConfig,
    ModelConfig,
    RoiConfig,
    RpnConfig,
    TestConfig,
)
from detres.detection.anchors import cell_anchors, default_sizes
from detres.detection.converted import ConvertedDetector, Stated, class_names_of, resnet_of
from detres.detection.detectron2_names import ANCHORS, PIXELS, LayoutName, name_pairs
from detres.detection.renaming import rename
from detres.errors import WeightsError
from detres.inert_pickle import read_torch_file
from detres.structures import IMAGENET_STATS, PixelStats

BGR_STATS = PixelStats(mean=(103.53, 116.28, 123.675), std=(1.0, 1.0, 1.0), order="bgr")
NORM_EPS = 1e-5
# Beside the boxes: their heads change no box, whatever they hold.
_OTHER_HEADS = ("roi_heads.mask_", "roi_heads.keypoint_head.", "sem_seg_head.")


def read_detectron2(path: Path, stated: Stated) -> ConvertedDetector:
    """The detector in a .pkl of the zoo or in a .pth that training writes.

    stated: stride_in, the zoo's where it is None, and class_names. Raises WeightsError, naming the file, for anything
    that is no Faster R-CNN or whose boxes would come out otherwise.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        theirs, unread = _read(path)
        detector = understand(theirs, stated, f"detectron2 {path.name}")
    except (WeightsError, ValueError) as error:
        raise WeightsError(f"{path}: {error}") from None
    beside = (f"left unread, beside the weights: {', '.join(unread)}",) if unread else ()
    return replace(detector, told=(*detector.told, *beside))


def understand(theirs: Mapping[str, Tensor], stated: Stated, recipe: str) -> ConvertedDetector:
    """Their state dict by our names, with the settings it expects."""
    layout = _layout_of(theirs)
    boxes = {name: t for name, t in theirs.items() if not name.startswith((*_OTHER_HEADS, ANCHORS, *PIXELS))}
    several = "proposal_generator.rpn_head.conv.conv0.weight" in theirs
    ours, unknown = rename(boxes, name_pairs(layout, several_convs=several))
    if unknown:
        raise WeightsError(
            f"{len(unknown)} names that no Faster R-CNN of detectron2's zoo has, the first {', '.join(unknown[:3])}; "
            "what they do to its boxes is not known"
        )
    architecture = resnet_of(ours)
    _check_what_sizes_are_read_from(ours, layout)
    _check_norms_and_groups(ours)
    names, whose = class_names_of(len(ours["roi.class_logits.bias"]) - 1, stated.class_names)
    model = model_settings(ours, layout, architecture, names)
    model = model.model_copy(update={"anchors": _anchors(theirs, layout, ours["rpn.objectness.weight"])})
    backbone, why = _backbone(theirs, architecture, stated.stride_in)
    if layout == "dc5" and backbone.stride_in == "3x3":
        raise WeightsError(
            "DC5 with the stride in the 3x3: detectron2 dilates the first 3×3 of conv5, and detres, as torchvision, "
            "does not; the zoo's DC5 models have the stride in the 1x1"
        )
    told = (why, f"class names: {whose}", *_left_out(theirs))
    return ConvertedDetector(ours, model, data_settings(), test_settings(), backbone, recipe, told)


def usual_stats(stride_in: StrideIn) -> PixelStats:
    """MSRA's weights stride in the 1x1 and want no deviations; torchvision's stride in the 3x3 and take RGB."""
    return BGR_STATS if stride_in == "1x1" else IMAGENET_STATS


def data_settings() -> DataConfig:
    """How detectron2's detectors are fed in tests."""
    return DataConfig(shortest_side=(800,), longest_side=1333, rounding="nearest")


def test_settings() -> TestConfig:
    return TestConfig(score=0.05, nms=0.5, max_detections=100)


def _read(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Tensors by their names, and the classes of what was left unread; ValueError where the file cannot be read."""
    if path.suffix.lower() == ".pkl":
        content, unread = read_array_pickle(path), {}
        if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
            raise ValueError("no file of detectron2's model zoo, which holds arrays by name under `model`")
    else:
        content, unread = read_torch_file(path)
    model = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(model, dict):
        raise ValueError("holds no tensors by name, alone or under `model`")
    return {name: _tensor(name, value) for name, value in model.items()}, list(unread)


def _tensor(name: Any, value: Any) -> Tensor:
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        value = torch.from_numpy(np.array(value))  # Copied: an array from a pickle may not be written to.
    if not isinstance(name, str) or not isinstance(value, Tensor):
        raise ValueError(f"{name!r} is no array of numbers")
    return value


def _layout_of(theirs: Mapping[str, Tensor]) -> LayoutName:
    """Raises WeightsError for another detector than Faster R-CNN, saying which where that is known."""

    def holds(*prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in theirs)

    if holds("roi_heads.box_predictor.0.", "roi_heads.box_head.0."):
        raise WeightsError("a cascade of box heads; Faster R-CNN has one, and the boxes of a cascade are others")
    if not holds("roi_heads.box_predictor.cls_score."):
        raise WeightsError(
            "no box predictor of Faster R-CNN (a RetinaNet, an RPN alone, a backbone, another project's)"
        )
    if not holds("proposal_generator.rpn_head."):
        raise WeightsError("no RPN: a Fast R-CNN, whose proposals come from elsewhere")
    if holds("roi_heads.res5."):
        return "c4"
    return "fpn" if holds("backbone.fpn_lateral") else "dc5"


def _check_what_sizes_are_read_from(ours: Mapping[str, Tensor], layout: LayoutName) -> None:
    """The rest of what may be missing is told where the model is loaded."""
    needed = ["roi.class_logits.bias", "roi.deltas.bias", "rpn.objectness.weight", "backbone.layer1.0.conv2.weight"]
    needed += [] if layout == "c4" else [_pooled_from(layout), "roi.head.fcs.0.weight"]
    if missing := [name for name in needed if name not in ours]:
        raise WeightsError(f"lacks what is {', '.join(missing)} here; the file may be cut, or of a head without layers")


def _pooled_from(layout: LayoutName) -> str:
    """The weight whose outputs the box head is given."""
    return "neck.lateral.0.0.weight" if layout == "fpn" else "backbone.layer4.0.downsample.0.weight"


def _check_norms_and_groups(ours: Mapping[str, Tensor]) -> None:
    weight = ours["backbone.layer1.0.conv2.weight"]
    if weight.shape[0] != weight.shape[1]:
        raise WeightsError(
            f"its 3×3 convolutions have {weight.shape[0] // weight.shape[1]} groups: a ResNeXt, not a ResNet"
        )
    if "backbone.bn1.running_mean" not in ours:
        raise WeightsError("its backbone's norms have no statistics: group norm, which has other pixel deviations too")


def model_settings(
    ours: Mapping[str, Tensor], layout: LayoutName, architecture: str, class_names: Sequence[str]
) -> ModelConfig:
    """What detectron2 computes with these weights (by our names), its anchors aside."""
    counted = any(name.startswith("backbone.") and name.endswith("num_batches_tracked") for name in ours)
    per_level = layout == "fpn"
    return ModelConfig(
        layout=layout,
        # detectron2's FrozenBN keeps no count of batches.
        backbone=DetectorBackboneConfig(name=architecture, norm="batch" if counted else "frozen", norm_eps=NORM_EPS),
        fpn=_fpn(ours) if per_level else FpnConfig(),
        rpn=RpnConfig(
            convs=_count(ours, "rpn.convs.{}.weight"),
            pre_nms_train=2000 if per_level else 12000,
            pre_nms_test=1000 if per_level else 6000,
            post_nms_train=1000 if per_level else 2000,
            post_nms_test=1000,
        ),
        roi=_roi(ours, layout, len(class_names)),
        class_names=tuple(class_names),
    )


def _fpn(ours: Mapping[str, Tensor]) -> FpnConfig:
    return FpnConfig(channels=len(ours["neck.lateral.0.0.weight"]), norm=_norm_behind(ours, "neck.lateral.0.1"))


def _roi(ours: Mapping[str, Tensor], layout: LayoutName, classes: int) -> RoiConfig:
    options = {"level_eps": 0.0, "normalizer": "samples"}
    options["class_agnostic"] = classes > 1 and len(ours["roi.deltas.bias"]) == 4
    if layout == "c4":
        return RoiConfig(**options)
    convs = _count(ours, "roi.head.convs.{}.0.weight")
    if convs:
        options["head_conv_channels"] = channels = len(ours["roi.head.convs.0.0.weight"])
        options["head_norm"] = _norm_behind(ours, "roi.head.convs.0.1")
    else:
        channels = len(ours[_pooled_from(layout)])
    width, features = ours["roi.head.fcs.0.weight"].shape
    fcs = _count(ours, "roi.head.fcs.{}.weight")
    return RoiConfig(
        **options, pool=math.isqrt(features // channels), head_convs=convs, head_fcs=fcs, head_fc_channels=width
    )


def _count(ours: Mapping[str, Tensor], template: str) -> int:
    return sum(template.format(k) in ours for k in range(8))


def _norm_behind(ours: Mapping[str, Tensor], name: str) -> Literal["none", "batch", "group"]:
    if f"{name}.weight" not in ours:
        return "none"
    return "batch" if f"{name}.running_mean" in ours else "group"


def _anchors(theirs: Mapping[str, Tensor], layout: LayoutName, objectness: Tensor) -> AnchorsConfig:
    """The zoo's, unless the file holds others: older ones hold the anchors of a cell, newer ones only their number."""
    usual = AnchorsConfig()
    levels = default_sizes(5 if layout == "fpn" else 1)
    held = [theirs[f"{ANCHORS}{level}"].float() for level in range(len(levels)) if f"{ANCHORS}{level}" in theirs]
    if held:
        sizes, ratios = zip(*(_sizes_and_ratios(cell) for cell in held), strict=True)
        if len(held) != len(levels) or len(set(ratios)) != 1:
            raise WeightsError(f"anchors of {len(held)} levels and ratios {set(ratios)}, which {layout} does not have")
        if sizes != levels or ratios[0] != usual.ratios:
            usual, levels = AnchorsConfig(sizes=sizes, ratios=ratios[0]), sizes
    found = len(objectness)
    if found != len(levels[0]) * len(usual.ratios):
        raise WeightsError(
            f"{found} anchors a cell, where the zoo's {layout} models have {len(levels[0]) * len(usual.ratios)}, and "
            "the file does not hold them"
        )
    return usual


def _sizes_and_ratios(cell: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """What lays these anchors (A, 4), sizes varying slowest. Raises WeightsError where nothing of ours does."""
    width, height = (cell[:, 2] - cell[:, 0]).double(), (cell[:, 3] - cell[:, 1]).double()
    every = [round(size, 2) for size in (width * height).sqrt().tolist()]
    sizes = tuple(dict.fromkeys(every))
    ratios = tuple(round(ratio, 4) for ratio in (height / width).tolist()[: len(every) // len(sizes)])
    laid = cell_anchors(sizes, ratios)
    if laid.shape != cell.shape or (laid - cell).abs().max() > 0.02:
        raise WeightsError(f"anchors {cell.tolist()} are not sizes times ratios around the cell's corner")
    return sizes, ratios


def _backbone(
    theirs: Mapping[str, Tensor], architecture: str, stride_in: StrideIn | None
) -> tuple[WeightsMetadata, str]:
    """What the backbone's weights expect, and a line that says whence this is known."""
    held = _held_pixels(theirs)
    is_basic = BACKBONES[architecture].block == "basic"
    if is_basic and stride_in is not None:
        raise WeightsError(f"--stride-in: {architecture} has no bottlenecks; leave it out")
    # Weights that want deviations are torchvision's, or were trained as those are; MSRA's have taken theirs in.
    deviates = held is not None and held.std != BGR_STATS.std
    usual: StrideIn = "3x3" if is_basic or deviates else "1x1"
    stride = stride_in or usual
    stats = held or usual_stats(stride)
    known = "as stated" if stride_in else "as usual; --stride-in sets another"
    why = (
        f"{architecture}, stride in the {stride} ({known}), pixels {stats.order} minus {stats.mean} over {stats.std} "
        f"({'from the file' if held else 'as usual with this stride'})"
    )
    return WeightsMetadata(architecture, stats, stride_in=stride, norm_eps=NORM_EPS), why


def _held_pixels(theirs: Mapping[str, Tensor]) -> PixelStats | None:
    """Mean and deviation that older files hold. In which order the channels stand, only ImageNet's means tell."""
    if "pixel_mean" not in theirs or "pixel_std" not in theirs:
        return None
    mean, std = (tuple(round(v, 4) for v in theirs[name].flatten().tolist()) for name in PIXELS)
    for order, usual in (("bgr", BGR_STATS.mean), ("rgb", IMAGENET_STATS.mean)):
        if len(mean) == 3 and all(abs(a - b) < 2 for a, b in zip(mean, usual, strict=True)):
            return PixelStats(mean, std, order)
    raise WeightsError(f"pixel_mean {mean} is ImageNet's neither in BGR nor in RGB; which of the two is not known")


def _left_out(theirs: Mapping[str, Tensor]) -> list[str]:
    """A line for each head beside the boxes."""
    counts = {head: sum(name.startswith(head) for name in theirs) for head in _OTHER_HEADS}
    return [f"left out: {count} tensors, {head}*" for head, count in counts.items() if count]
