"""A detector of detres's as detectron2's: a state dict in the zoo's layout, and the config that goes with it.

The config stands alone: laid over detectron2's defaults, it is the whole model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from detres.backbones.architectures import Architecture
from detres.backbones.weights.metadata import WeightsMetadata
from detres.config.yaml_dialect import read_yaml_1_1, write_yaml
from detres.conversion.converted import Stated
from detres.conversion.detectron2.configs import Detectron2Config
from detres.conversion.detectron2.held import BGR_STATS
from detres.conversion.detectron2.names import ANCHORS, PIXELS, name_pairs
from detres.conversion.detectron2.reading import NORM_EPS, data_settings, model_settings, test_settings, understand
from detres.conversion.detectron2.said import Beside
from detres.conversion.handing_back import HandedBack, computed_otherwise, resnet_settings
from detres.conversion.keys import overrides_from
from detres.conversion.renaming import rename, turned
from detres.detection.files import DetectorSettings
from detres.detection.model.anchors import cell_anchors, default_sizes
from detres.errors import WeightsError

_STAGES = {"c4": ["res4"], "dc5": ["res5"], "fpn": ["res2", "res3", "res4", "res5"]}
_LEVELS = ["p2", "p3", "p4", "p5", "p6"]
_NORMS = {"none": "", "batch": "BN", "group": "GN"}

# What _yaml has a key for.
_CARRIED = frozenset(
    {
        *("model.anchors.sizes", "model.anchors.ratios", "model.anchors.offset", "model.rpn.pre_nms_test"),
        *("model.rpn.post_nms_test", "model.rpn.nms", "model.rpn.codec_weights", "model.roi.sampling_ratio"),
        "model.roi.aligned",
        *("model.roi.pool", "model.roi.codec_weights", "test.score", "test.nms", "test.max_detections"),
        *("data.shortest_side", "data.longest_side"),
        *("model.backbone.stride_in", "model.backbone.pixel_stats.mean", "model.backbone.pixel_stats.std"),
        "model.backbone.pixel_stats.order",
    }
)


def to_detectron2(tensors: Mapping[str, Tensor], settings: DetectorSettings) -> HandedBack:
    """Raises WeightsError where detectron2 has no such model, or what is missing cannot be left out."""
    net, known = resnet_settings(settings)
    model = settings.model
    if net.block == "basic" and model.layout != "fpn":
        raise WeightsError(
            f"detectron2 has {model.layout} of ResNets with bottlenecks only, and this is {known.architecture}"
        )
    several = model.rpn.convs > 1
    theirs, unknown = rename(tensors, turned(name_pairs(model.layout, several_convs=several)))
    if unknown:
        raise WeightsError(f"detectron2 has no place for {', '.join(unknown[:3])} ({len(unknown)} names)")
    theirs |= _what_files_once_held(settings, known)
    usual = model_settings(tensors, model.layout, known.architecture, model.class_names or ())
    otherwise = list(
        computed_otherwise(
            settings,
            WeightsMetadata(known.architecture, known.pixel_stats, norm_eps=NORM_EPS),
            usual,
            data_settings(),
            test_settings(),
            carried=_CARRIED,
        )
    )
    comes_back = not (model.layout == "dc5" and known.stride_in == "3x3")
    if not comes_back:
        otherwise.append("the first 3×3 of conv5 is dilated there; here, with the stride in the 3x3, it is not")
    config = write_yaml(_yaml(settings, net, known))
    said: tuple[str, ...] = ()
    if comes_back:
        read = Detectron2Config("its config", read_yaml_1_1(config, "its config"))
        said = overrides_from(understand(theirs, Stated(), "", Beside(read)), settings)
    return HandedBack(theirs, tuple(config.splitlines()), tuple(otherwise), said)


def _what_files_once_held(settings: DetectorSettings, known: WeightsMetadata) -> dict[str, Tensor]:
    """Pixel statistics and anchors, where they are not the zoo's: detectron2 passes them over, and we read them."""
    held: dict[str, Tensor] = {}
    anchors = settings.model.anchors
    sizes = _sizes(settings)
    if known.pixel_stats != BGR_STATS:
        stats = (known.pixel_stats.mean, known.pixel_stats.std)
        held |= {name: torch.tensor(values).view(3, 1, 1) for name, values in zip(PIXELS, stats, strict=True)}
    if sizes != default_sizes(len(sizes)) or anchors.ratios != (0.5, 1.0, 2.0):
        held |= {f"{ANCHORS}{level}": cell_anchors(s, anchors.ratios) for level, s in enumerate(sizes)}
    return held


def _yaml(settings: DetectorSettings, net: Architecture, known: WeightsMetadata) -> dict[str, Any]:
    """The keys of detectron2's config that decide detections; FILE stands for the weights."""
    model, test, data = settings.model, settings.test, settings.preprocessing
    rpn = model.rpn
    keys: dict[str, Any] = {
        "META_ARCHITECTURE": "GeneralizedRCNN",
        "WEIGHTS": "FILE",
        "MASK_ON": False,
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone" if model.layout == "fpn" else "build_resnet_backbone"},
        "PIXEL_MEAN": list(known.pixel_stats.mean),
        "PIXEL_STD": list(known.pixel_stats.std),
        "RESNETS": {
            "DEPTH": int(known.architecture.removeprefix("resnet")),
            "NORM": "FrozenBN" if set(settings.norms.values()) <= {"frozen"} else "BN",
            "STRIDE_IN_1X1": known.stride_in == "1x1",
            "OUT_FEATURES": _STAGES[model.layout],
            "RES5_DILATION": 2 if model.layout == "dc5" else 1,
            **({"RES2_OUT_CHANNELS": 64} if net.block == "basic" else {}),
        },
        "ANCHOR_GENERATOR": {
            "SIZES": [list(level) for level in _sizes(settings)],
            "ASPECT_RATIOS": [list(model.anchors.ratios)],
            "OFFSET": model.anchors.offset,
        },
        "RPN": {
            "IN_FEATURES": _LEVELS if model.layout == "fpn" else _STAGES[model.layout],
            # A key of newer versions.
            **({"CONV_DIMS": [-1] * rpn.convs} if rpn.convs > 1 else {}),
            "PRE_NMS_TOPK_TEST": rpn.pre_nms_test,
            "POST_NMS_TOPK_TEST": rpn.post_nms_test,
            "NMS_THRESH": rpn.nms,
            "BBOX_REG_WEIGHTS": list(rpn.codec_weights),
        },
        "ROI_HEADS": {
            "NAME": "Res5ROIHeads" if model.layout == "c4" else "StandardROIHeads",
            "IN_FEATURES": _LEVELS[:4] if model.layout == "fpn" else _STAGES[model.layout],
            "NUM_CLASSES": len(model.class_names or ()),
            "SCORE_THRESH_TEST": test.score,
            "NMS_THRESH_TEST": test.nms,
        },
        "ROI_BOX_HEAD": _box_head(settings),
    }
    if model.layout == "fpn":
        fpn = {"OUT_CHANNELS": model.fpn.channels, "NORM": _NORMS[model.fpn.norm]}
        keys["FPN"] = {"IN_FEATURES": _STAGES["fpn"], **fpn}
    side, longest = data.shortest_side[-1], data.longest_side
    return {
        "VERSION": 2,
        "MODEL": keys,
        "INPUT": {"FORMAT": known.pixel_stats.order.upper(), "MIN_SIZE_TEST": side, "MAX_SIZE_TEST": longest},
        "TEST": {"DETECTIONS_PER_IMAGE": test.max_detections},
    }


def _box_head(settings: DetectorSettings) -> dict[str, Any]:
    layout, roi = settings.model.layout, settings.model.roi
    keys = {
        "POOLER_TYPE": "ROIAlignV2" if roi.aligned else "ROIAlign",
        "POOLER_SAMPLING_RATIO": roi.sampling_ratio,
        "POOLER_RESOLUTION": roi.pool or (14 if layout == "c4" else 7),
        "BBOX_REG_WEIGHTS": list(roi.codec_weights),
        "CLS_AGNOSTIC_BBOX_REG": roi.class_agnostic,
    }
    if layout == "c4":
        return keys
    convs = {"NUM_CONV": roi.head_convs, "CONV_DIM": roi.head_conv_channels, "NORM": _NORMS[roi.head_norm]}
    return {"NAME": "FastRCNNConvFCHead"} | keys | convs | {"NUM_FC": roi.head_fcs, "FC_DIM": roi.head_fc_channels}


def _sizes(settings: DetectorSettings) -> tuple[tuple[float, ...], ...]:
    return settings.model.anchors.sizes or default_sizes(5 if settings.model.layout == "fpn" else 1)
