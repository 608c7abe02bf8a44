"""Faster R-CNN checkpoints of detectron2's model zoo (R50, R101; C4, DC5, FPN), as detres's names and settings.

What the file does not say is as in the zoo: stride in the 1x1, BGR means without deviations, a padded max pool, norm
eps 1e-5, aligned RoIAlign with as many samples as a bin has cells, RoI levels without a tolerance, exact anchors of
32..512 pixels, and sides rounded to the nearest pixel; docs/conversions.md has the table. A file of other settings
would load, too, and detect worse, so what was assumed is told.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from detres.backbones.weights.formats import Form, form_of
from detres.backbones.weights.metadata import WeightsMetadata
from detres.config.detection_schema import (
    DataConfig,
    DetectorBackboneConfig,
    FpnConfig,
    ModelConfig,
    RoiConfig,
    RpnConfig,
    TestConfig,
)
from detres.config.loading import Layer, read_override
from detres.conversion.converted import ConvertedDetector, Stated, class_names_of, resnet_of
from detres.conversion.detectron2.held import BGR_STATS, held_layers
from detres.conversion.detectron2.names import ANCHORS, PIXELS, LayoutName, name_pairs
from detres.conversion.detectron2.said import (
    NOTHING_BESIDE,
    Beside,
    by_user,
    check_agreement,
    config_beside,
    usual_stats,
    usual_stride,
)
from detres.conversion.keys import asked, settled
from detres.conversion.renaming import rename
from detres.errors import ConfigError, WeightsError
from detres.pickles.array_pickle import read_array_pickle
from detres.pickles.inert_pickle import read_torch_file

SAID_KEY = "detres"
"""Under which a file that --to detectron2 wrote says what detectron2 has no key for, as a list of key=value."""
NORM_EPS = 1e-5
# Beside the boxes: their heads change no box, whatever they hold.
_OTHER_HEADS = ("roi_heads.mask_", "roi_heads.keypoint_head.", "sem_seg_head.")


def read_detectron2(path: Path, stated: Stated) -> ConvertedDetector:
    """The detector in a .pkl of the zoo or in a .pth that training writes.

    stated: stride_in, the zoo's where it is None, class_names, and config: detectron2's config.yaml; None is the one of
    the file's own name beside it, as `--to detectron2` leaves one, where it is there.
    Raises WeightsError, naming the file, for anything that is no Faster R-CNN or whose boxes would come out otherwise,
    and ConfigError for a config that is not its own.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    form = form_of(path)
    config, found = config_beside(path, stated.config)
    try:
        theirs, inside, unread = _read(path, form)
        detector = understand(theirs, stated, f"detectron2 {path.name}", Beside(config, inside))
    except (WeightsError, ValueError) as error:
        raise WeightsError(f"{path}: {error}") from None
    unread_line = (f"left unread, beside the weights: {', '.join(unread)}",) if unread else ()
    return replace(detector, told=(*found, *detector.told, *unread_line))


def understand(
    theirs: Mapping[str, Tensor], stated: Stated, recipe: str, beside: Beside = NOTHING_BESIDE
) -> ConvertedDetector:
    """Their state dict by our names, with the settings it expects. beside: what else is known of it."""
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
    inside = asked(beside.inside, "model.class_names")
    named = inside if isinstance(inside, list) and stated.class_names is None else stated.class_names
    names, whose = class_names_of(len(ours["roi.class_logits.bias"]) - 1, named)
    model = model_settings(ours, layout, architecture, names)

    user, config = by_user(stated), beside.by_config(model, stated)
    order = asked([*config, *user], "model.backbone.pixel_stats.order")
    held = held_layers(theirs, layout, order if order in ("rgb", "bgr") else None)
    check_agreement(held, config, user)
    said = [*held, *beside.inside, *config, *user]
    stride = asked(said, "model.backbone.stride_in")
    usual = usual_stride(said, model, beside)
    stats = BGR_STATS if beside.is_whole else usual_stats(stride or usual)
    backbone = WeightsMetadata(architecture, stats, stride_in=usual, norm_eps=NORM_EPS)
    zoo = ConvertedDetector(ours, model, data_settings(), test_settings(), backbone, recipe)
    detector, open_keys = settled(zoo, said, config=None if beside.config else "detectron2's config.yaml")
    if layout == "dc5" and detector.backbone.stride_in == "3x3":
        raise WeightsError(
            "DC5 with the stride in the 3x3: detectron2 dilates the first 3×3 of conv5, and detres, as torchvision, "
            "does not; the zoo's DC5 models have the stride in the 1x1"
        )
    trunk = _trunk_line(detector.backbone, is_said=stride is not None)
    return replace(
        detector,
        told=(
            trunk,
            f"class names: {'in the file' if named is inside is not None else whose}",
            *open_keys,
            *_left_out(theirs),
        ),
    )


def _trunk_line(backbone: WeightsMetadata, *, is_said: bool) -> str:
    stats, known = backbone.pixel_stats, "as stated" if is_said else "as usual; --stride-in sets another"
    return (
        f"{backbone.architecture}, stride in the {backbone.stride_in} ({known}), pixels {stats.order} minus "
        f"{stats.mean} over {stats.std}"
    )


def data_settings() -> DataConfig:
    """How detectron2's detectors are fed in tests."""
    return DataConfig(shortest_side=(800,), longest_side=1333, rounding="nearest")


def test_settings() -> TestConfig:
    return TestConfig(score=0.05, nms=0.5, max_detections=100)


def _read(path: Path, form: Form) -> tuple[dict[str, Tensor], tuple[Layer, ...], list[str]]:
    """Tensors by their names, what the file says in our keys, and the classes of what was left unread.

    Raises ValueError where the file cannot be read.
    """
    unread: Iterable[str] = ()
    if form == "pickle":
        content = read_array_pickle(path)
        if not isinstance(content, dict) or not isinstance(content.get("model"), dict):
            raise ValueError("no file of detectron2's model zoo, which holds arrays by name under `model`")
    else:
        content, unread = read_torch_file(path)
    model = content.get("model", content) if isinstance(content, dict) else content
    if not isinstance(model, dict):
        raise ValueError("holds no tensors by name, alone or under `model`")
    said = content.get(SAID_KEY, ()) if model is not content else ()
    return {name: _tensor(name, value) for name, value in model.items()}, _said_inside(said), list(unread)


def _said_inside(said: Any) -> tuple[Layer, ...]:
    """Of a file that --to detectron2 wrote, what detectron2 has no key for."""
    if isinstance(said, list | tuple) and len(said) <= 500:
        with suppress(ConfigError):
            return tuple(replace(read_override(_short(text)), source="in the file") for text in said)
    raise ValueError(f"holds no list of key=value under `{SAID_KEY}`")


def _short(text: Any) -> str:
    if not isinstance(text, str) or len(text) > 1 << 16:
        raise ConfigError("no key=value")
    return text


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
    """The rest of what may be missing, or of another shape, is told where the model is loaded."""
    needed = ["roi.class_logits.bias", "roi.deltas.bias", "rpn.objectness.weight", "backbone.layer1.0.conv2.weight"]
    needed += [] if layout == "c4" else [_pooled_from(layout), "roi.head.fcs.0.weight"]
    if missing := [name for name in needed if name not in ours]:
        raise WeightsError(f"lacks what is {', '.join(missing)} here; the file may be cut, or of a head without layers")
    empty = [name for name, t in ours.items() if not name.endswith("num_batches_tracked") and not (t.ndim and len(t))]
    if empty := [*empty, *(name for name in needed if not ours[name].numel())]:
        raise WeightsError(f"what is {empty[0]} here has shape {tuple(ours[empty[0]].shape)}; the file may be cut")


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


def _left_out(theirs: Mapping[str, Tensor]) -> list[str]:
    """A line for each head beside the boxes."""
    counts = {head: sum(name.startswith(head) for name in theirs) for head in _OTHER_HEADS}
    return [f"left out: {count} tensors, {head}*" for head, count in counts.items() if count]
