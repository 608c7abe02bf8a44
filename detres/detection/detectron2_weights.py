"""Faster R-CNN checkpoints of detectron2's model zoo (R50, R101; C4, DC5, FPN), as detres's names and settings.

What the file does not say is as in the zoo: stride in the 1x1, BGR means without deviations, a padded max pool, norm
eps 1e-5, aligned RoIAlign with as many samples as a bin has cells, RoI levels without a tolerance, exact anchors of
32..512 pixels, and sides rounded to the nearest pixel; docs/design.md has the table. A file of other settings would
load, too, and detect worse, so what was assumed is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from detres.array_pickle import read_array_pickle
from detres.backbones.architectures import BACKBONES, StrideIn
from detres.backbones.metadata import WeightsMetadata
from detres.backbones.weight_files import read_tensors
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
from detres.detection.renaming import Pairs, rename
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS, PixelStats

LayoutName = Literal["c4", "dc5", "fpn"]

BGR_STATS = PixelStats(mean=(103.53, 116.28, 123.675), std=(1.0, 1.0, 1.0), order="bgr")
NORM_EPS = 1e-5
# Beside the boxes: their heads change no box, whatever they hold.
_OTHER_HEADS = ("roi_heads.mask_", "roi_heads.keypoint_head.", "sem_seg_head.")
ANCHORS = "proposal_generator.anchor_generator.cell_anchors."
PIXELS = ("pixel_mean", "pixel_std")


def read_detectron2(path: Path, stated: Stated) -> ConvertedDetector:
    """The detector in a .pkl of the zoo or in a .pth that training writes.

    stated: stride_in, the zoo's where it is None, and class_names. Raises WeightsError, naming the file, for anything
    that is no Faster R-CNN or whose boxes would come out otherwise.
    """
    theirs = _read_pickle(path) if path.suffix.lower() == ".pkl" else read_tensors(path)
    try:
        return understand(theirs, stated, f"detectron2 {path.name}")
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


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
    _check_norms_and_groups(ours)
    names, whose = class_names_of(len(ours["roi.class_logits.bias"]) - 1, stated.class_names)
    model = model_settings(ours, layout, architecture, names).model_copy(update={"anchors": _anchors(theirs, layout)})
    backbone, why = _backbone(theirs, architecture, stated.stride_in)
    if layout == "dc5" and backbone.stride_in == "3x3":
        raise WeightsError(
            "DC5 with the stride in the 3x3: detectron2 dilates the first 3×3 of conv5, and detres, as torchvision, "
            "does not; the zoo's DC5 models have the stride in the 1x1"
        )
    told = (why, f"class names: {whose}", *_left_out(theirs))
    return ConvertedDetector(ours, model, data_settings(), test_settings(), backbone, recipe, told)


def name_pairs(layout: LayoutName, *, several_convs: bool = False) -> Pairs:
    """Their names and ours. several_convs: the RPN has more than one before its siblings."""
    trunk = "backbone.bottom_up." if layout == "fpn" else "backbone."
    stages = [(f"{trunk}res{stage}", f"backbone.layer{stage - 1}") for stage in range(2, 6)]
    if layout == "c4":
        stages[3] = ("roi_heads.res5", "roi.head.stage")
    convs = [(f"{trunk}stem.conv1", "backbone.conv1", "backbone.bn1")]
    for theirs, ours in stages:
        convs += [(f"{theirs}.{{block}}.conv{{n}}", f"{ours}.{{block}}.conv{{n}}", f"{ours}.{{block}}.bn{{n}}")]
        shortcut = f"{ours}.{{block}}.downsample"
        convs += [(f"{theirs}.{{block}}.shortcut", f"{shortcut}.0", f"{shortcut}.1")]
    for level in range(4):
        for theirs, ours in (("lateral", "neck.lateral"), ("output", "neck.output")):
            convs += [(f"backbone.fpn_{theirs}{level + 2}", f"{ours}.{level}.0", f"{ours}.{level}.1")]
    # Their layers of the head count from one.
    layers = range(8)
    head = "roi.head.convs"
    convs += [(f"roi_heads.box_head.conv{k + 1}", f"{head}.{k}.0", f"{head}.{k}.1") for k in layers]
    plain = [(f"roi_heads.box_head.fc{k + 1}", f"roi.head.fcs.{k}") for k in layers]
    rpn_conv, ours = (".conv{n}", "rpn.convs.{n}") if several_convs else ("", "rpn.convs.0")
    plain += [
        (f"proposal_generator.rpn_head.conv{rpn_conv}", ours),
        ("proposal_generator.rpn_head.objectness_logits", "rpn.objectness"),
        ("proposal_generator.rpn_head.anchor_deltas", "rpn.deltas"),
        ("roi_heads.box_predictor.cls_score", "roi.class_logits"),
        ("roi_heads.box_predictor.bbox_pred", "roi.deltas"),
    ]
    pairs = [pair for conv, ours, norm in convs for pair in ((f"{conv}.norm", norm), (conv, ours))]
    return [(f"{theirs}.{{leaf}}", f"{ours}.{{leaf}}") for theirs, ours in (*pairs, *plain)]


def usual_stats(stride_in: StrideIn) -> PixelStats:
    """MSRA's weights stride in the 1x1 and want no deviations; torchvision's stride in the 3x3 and take RGB."""
    return BGR_STATS if stride_in == "1x1" else IMAGENET_STATS


def data_settings() -> DataConfig:
    """How detectron2's detectors are fed in tests."""
    return DataConfig(shortest_side=(800,), longest_side=1333, rounding="nearest")


def test_settings() -> TestConfig:
    return TestConfig(score=0.05, nms=0.5, max_detections=100)


def _read_pickle(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        content = read_array_pickle(path)
    except ValueError as error:
        raise WeightsError(f"{path}: {error}") from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict):
        raise WeightsError(f"{path}: no file of detectron2's model zoo, which holds arrays by name under `model`")
    for name, array in model.items():
        if not isinstance(name, str) or not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise WeightsError(f"{path}: {name!r} is no array of numbers")
    # Copied: numpy's arrays from a pickle may not be written to.
    return {name: torch.from_numpy(np.array(array)) for name, array in model.items()}


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
        channels = len(ours["neck.lateral.0.0.weight" if layout == "fpn" else "backbone.layer4.0.bn3.weight"])
    if "roi.head.fcs.0.weight" not in ours:
        raise WeightsError("its box head ends without a fully connected layer")
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


def _anchors(theirs: Mapping[str, Tensor], layout: LayoutName) -> AnchorsConfig:
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
    found = len(theirs["proposal_generator.rpn_head.objectness_logits.weight"])
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
    return [f"left out: {count} tensors of {head.rstrip('._')}" for head, count in counts.items() if count]
