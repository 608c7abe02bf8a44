"""Faster R-CNN checkpoints of torchvision, fasterrcnn_resnet50_fpn and _v2, as detres's names and settings.

What torchvision does differently is settings here, not code: unaligned RoIAlign with two samples, rounded
ratio-major anchors whose stride is fitted to the map, sides rounded down when resizing, padding to 32. The
background stands first there and last here, so its row moves; all 91 logits stay in the softmax, with the eleven
ids COCO never used as classes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from detres.backbones.weights.files import read_tensors
from detres.backbones.weights.metadata import WeightsMetadata
from detres.config.detection_schema import (
    AnchorsConfig,
    BoxLossConfig,
    DataConfig,
    DetectorBackboneConfig,
    FpnConfig,
    ModelConfig,
    RoiConfig,
    RpnConfig,
    TestConfig,
)
from detres.conversion.converted import ConvertedDetector, Stated, resnet_of
from detres.conversion.keys import settled
from detres.conversion.renaming import Pairs, rename
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS


def read_torchvision(path: Path, stated: Stated) -> ConvertedDetector | None:
    """The detector in a file of torchvision's, None where it holds a classifier.

    stated: norm_eps, guessed where it is None, class_names and layers. Raises WeightsError, naming the file.
    """
    theirs, aside = read_tensors(path)
    if not is_torchvision_detector(list(theirs)):
        return None
    try:
        theirs, unwrapped = _without_wrapper(theirs)
        detector = understand(theirs, stated, f"torchvision {path.name}")
        return replace(detector, told=(*aside, *unwrapped, *detector.told))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None


def understand(theirs: Mapping[str, Tensor], stated: Stated, recipe: str) -> ConvertedDetector:
    """Their state dict by our names, with the settings it expects."""
    told: tuple[str, ...] = ()
    norm_eps = stated.norm_eps
    if norm_eps is None:
        norm_eps, reason = guess_norm_eps(theirs)
        told = (f"norm eps {norm_eps:g}: {reason} (--bn-eps sets another)",)
    ours = convert_state_dict(theirs)
    model = model_settings(theirs, stated.class_names, norm_eps=norm_eps)
    backbone = WeightsMetadata(model.backbone.name, IMAGENET_STATS, norm_eps=norm_eps)
    whose = "as stated" if stated.class_names is not None else "COCO's for 90, else numbers (--classes names others)"
    usual = ConvertedDetector(ours, model, data_settings(), test_settings(), backbone, recipe)
    detector, open_keys = settled(usual, stated.layers)
    return replace(detector, told=(*told, f"class names: {whose}", *open_keys))


def name_pairs(convs: int) -> Pairs:
    """Their names and ours. convs: of the box head, none in v1 and four in v2.

    Where a name has changed over the years, today's is first: the published v1 file has the older ones.
    """
    head = [("fc6", "fc7")[k] if convs == 0 else str(convs + 1 + 2 * k) for k in range(2)]
    return (
        ("backbone.body.{rest}", "backbone.{rest}"),
        ("backbone.fpn.inner_blocks.{level}.{part}.{leaf}", "neck.lateral.{level}.{part}.{leaf}"),
        ("backbone.fpn.inner_blocks.{level}.{leaf}", "neck.lateral.{level}.0.{leaf}"),
        ("backbone.fpn.layer_blocks.{level}.{part}.{leaf}", "neck.output.{level}.{part}.{leaf}"),
        ("backbone.fpn.layer_blocks.{level}.{leaf}", "neck.output.{level}.0.{leaf}"),
        ("rpn.head.conv.{n}.0.{leaf}", "rpn.convs.{n}.{leaf}"),
        ("rpn.head.conv.{leaf}", "rpn.convs.0.{leaf}"),
        ("rpn.head.cls_logits.{leaf}", "rpn.objectness.{leaf}"),
        ("rpn.head.bbox_pred.{leaf}", "rpn.deltas.{leaf}"),
        ("roi_heads.box_head.{n}.{part}.{leaf}", "roi.head.convs.{n}.{part}.{leaf}"),
        *((f"roi_heads.box_head.{theirs}.{{leaf}}", f"roi.head.fcs.{k}.{{leaf}}") for k, theirs in enumerate(head)),
        ("roi_heads.box_predictor.cls_score.{leaf}", "roi.class_logits.{leaf}"),
        ("roi_heads.box_predictor.bbox_pred.{leaf}", "roi.deltas.{leaf}"),
    )


# What rows are moved in, and settings are read from: dimensions by our name.
_PARTS = {
    **{f"roi.{part}.weight": 2 for part in ("class_logits", "deltas")},
    **{f"roi.{part}.bias": 1 for part in ("class_logits", "deltas")},
    "rpn.objectness.weight": 4,
}


def _lacks(name: str, ours: Mapping[str, Tensor]) -> str:
    if name not in ours:
        return f"it lacks what is {name} here; the file may be cut"
    return f"what is {name} here has shape {tuple(ours[name].shape)}, expected {_PARTS[name]} dimensions"


def is_torchvision_detector(names: Sequence[str]) -> bool:
    """Also under a wrapper's prefix, such as `net.`"""
    return any(_wrapper_of(name) is not None for name in names)


def _wrapper_of(name: str) -> str | None:
    """What stands before the box predictor's name; None for other names."""
    match = re.match(r"((?:.*\.)?)roi_heads\.box_predictor\.", name)
    return match and match[1]


def _without_wrapper(theirs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The detector's tensors by its own names, and a line about what was taken off them.

    Raises WeightsError where a wrapper holds several detectors, or other tensors beside one.
    """
    prefixes = sorted({prefix for name in theirs if (prefix := _wrapper_of(name)) is not None})
    if prefixes == [""]:
        return dict(theirs), ()
    beside = [name for name in theirs if not name.startswith(prefixes[0])]
    if len(prefixes) > 1 or beside:
        also = (
            f"{len(prefixes)} detectors" if len(prefixes) > 1 else f"{len(beside)} names beside it, such as {beside[0]}"
        )
        raise WeightsError(
            f"holds a detector of torchvision's under {' and '.join(map(repr, prefixes[:3]))}, and {also}; save the "
            "state dict of the detector alone"
        )
    own = {name.removeprefix(prefixes[0]): tensor for name, tensor in theirs.items()}
    return own, (f"taken off its names: {prefixes[0]}",)


def convert_state_dict(theirs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Their tensors under our names, background moved from the first row to the last.

    Raises WeightsError with the names it does not know.
    """
    ours, unknown = rename(theirs, name_pairs(_head_convs(theirs)))
    lacking = [name for name, dims in _PARTS.items() if name not in ours or ours[name].ndim != dims]
    if unknown or lacking:
        found = f"{len(unknown)} unknown names, the first {unknown[:3]}" if unknown else _lacks(lacking[0], ours)
        raise WeightsError(
            f"not a state dict of torchvision's fasterrcnn_resnet50_fpn or _v2: {found}. "
            "Mobile nets and RetinaNet are not converted; a backbone alone converts without its detector"
        )
    for part in ("weight", "bias"):
        logits, deltas = ours[f"roi.class_logits.{part}"], ours[f"roi.deltas.{part}"]
        ours[f"roi.class_logits.{part}"] = torch.cat([logits[1:], logits[:1]])
        ours[f"roi.deltas.{part}"] = deltas[4:]  # The background's box is never used.
    return ours


def model_settings(theirs: Mapping[str, Tensor], class_names: Sequence[str] | None, *, norm_eps: float) -> ModelConfig:
    """The model their weights expect. class_names: without the background; None: COCO's, or numbered ones.

    norm_eps: of the backbone's BN, which no state dict holds: 0.0 in the published v1 weights, else 1e-5.
    """
    convs = _head_convs(theirs)
    norm = "batch" if convs else "none"
    classes = theirs["roi_heads.box_predictor.cls_score.bias"].shape[0] - 1
    if class_names is None:
        class_names = coco_names() if classes == 90 else [f"class {i}" for i in range(1, classes + 1)]
    if len(class_names) != classes:
        raise WeightsError(f"{len(class_names)} class names for weights with {classes} classes beside the background")
    # Both of torchvision's losses are smooth L1 that turns at 1/9, over all samples of the batch.
    box_loss = BoxLossConfig(name="smooth_l1", beta=1 / 9)
    return ModelConfig(
        layout="fpn",
        backbone=DetectorBackboneConfig(
            name=resnet_of(rename(theirs, name_pairs(convs))[0]),
            stride_in="3x3",
            norm="batch" if convs else "frozen",
            norm_eps=norm_eps,
        ),
        fpn=FpnConfig(norm=norm),
        anchors=AnchorsConfig(rounded=True, order="ratio", fitted=True),
        rpn=RpnConfig(
            convs=sum(bool(re.fullmatch(r"rpn\.head\.conv(\.\d\.0)?\.weight", name)) for name in theirs),
            min_size=1e-3,
            post_nms_train=2000,
            box_loss=box_loss,
            normalizer="samples",
        ),
        roi=RoiConfig(
            sampling_ratio=2,
            aligned=False,
            box_loss=box_loss,
            normalizer="samples",
            min_size=1e-2,
            head_convs=convs,
            head_fcs=1 if convs else 2,
            head_norm=norm,
        ),
        pad_to=32,
        class_names=tuple(class_names),
    )


def data_settings() -> DataConfig:
    """How torchvision's detectors are fed."""
    return DataConfig(shortest_side=(800,), longest_side=1333, rounding="floor")


def test_settings() -> TestConfig:
    return TestConfig(score=0.05, nms=0.5, max_detections=100)


def _head_convs(theirs: Mapping[str, Tensor]) -> int:
    return sum(re.fullmatch(r"roi_heads\.box_head\.\d+\.0\.weight", name) is not None for name in theirs)


def guess_norm_eps(theirs: Mapping[str, Tensor]) -> tuple[float, str]:
    """The backbone's BN eps and the reason for the guess.

    Only the published v1 file was trained with 0.0; it is also the only one that keeps the old names of its FPN.
    """
    if "backbone.fpn.inner_blocks.0.weight" in theirs:
        return 0.0, "names as in the published COCO_V1 file, which was trained with eps 0.0"
    reason = "names as written since torchvision 0.14, whose default is 1e-5"
    if _head_convs(theirs):  # A net with norms in its head is no v1.
        return 1e-5, reason
    return 1e-5, f"{reason}; if it was fine-tuned from COCO_V1, it has kept 0.0: say --bn-eps 0"


def coco_names() -> list[str]:
    """COCO's 90 category names by id, from 1; ids without a category are named by their number, to stay distinct."""
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_Weights

    names = FasterRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"]
    return [name if name != "N/A" else f"unused-{i}" for i, name in enumerate(names)][1:]
