"""Faster R-CNN checkpoints of mmdetection, ResNet with FPN, of 1.x, 2.x and 3.x, as detectors of detres's.

Names and shapes say what the network is, the config that lies beside the weights how it was built and fed. Other
objects in such a file, such as its training's history, are of classes of theirs: they stay inert, and are told.

1.x counts a box's last pixel as its corner: sides are x2 - x1 + 1. In our coordinates, where x2 is one larger, its
coding of boxes, overlaps and RoIAlign are ours, and its anchors are ours rounded, in the middle of their cells.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from detres.config.loading import layer_of
from detres.conversion.converted import ConvertedDetector, Stated, class_names_of
from detres.conversion.keys import has_bottlenecks, settled, values_of
from detres.conversion.mmdetection.configs import StatedConfig
from detres.conversion.mmdetection.limits import check_convertible
from detres.conversion.mmdetection.pipeline import pipeline_remarks
from detres.conversion.mmdetection.said import said_by, unusable, without_stated
from detres.conversion.mmdetection.settings import (
    Reading,
    backbone_of,
    data_of,
    is_old,
    model_of,
    remarks,
    test_of,
)
from detres.conversion.renaming import Pairs, rename
from detres.errors import WeightsError
from detres.pickles.inert_pickle import Inert, read_torch_file

# 1.x has no roi_head, and is brought to these names first. A norm is called after its kind.
NAMES: Pairs = (
    ("backbone.conv1.{leaf}", "backbone.conv1.{leaf}"),
    ("backbone.bn1.{leaf}", "backbone.bn1.{leaf}"),
    ("backbone.layer{stage}.{block}.conv{n}.{leaf}", "backbone.layer{stage}.{block}.conv{n}.{leaf}"),
    ("backbone.layer{stage}.{block}.bn{n}.{leaf}", "backbone.layer{stage}.{block}.bn{n}.{leaf}"),
    ("backbone.layer{stage}.{block}.downsample.{n}.{leaf}", "backbone.layer{stage}.{block}.downsample.{n}.{leaf}"),
    *(
        (f"{theirs}.{part}.{{leaf}}", f"{ours}.{place}.{{leaf}}")
        for theirs, ours in (
            ("neck.lateral_convs.{n}", "neck.lateral.{n}"),
            ("neck.fpn_convs.{n}", "neck.output.{n}"),
            ("roi_head.bbox_head.shared_convs.{n}", "roi.head.convs.{n}"),
        )
        for part, place in (("conv", 0), ("bn", 1), ("gn", 1))
    ),
    ("rpn_head.rpn_conv.{n}.conv.{leaf}", "rpn.convs.{n}.{leaf}"),
    ("rpn_head.rpn_conv.{leaf}", "rpn.convs.0.{leaf}"),
    ("rpn_head.rpn_cls.{leaf}", "rpn.objectness.{leaf}"),
    ("rpn_head.rpn_reg.{leaf}", "rpn.deltas.{leaf}"),
    ("roi_head.bbox_head.shared_fcs.{n}.{leaf}", "roi.head.fcs.{n}.{leaf}"),
    ("roi_head.bbox_head.fc_cls.{leaf}", "roi.class_logits.{leaf}"),
    ("roi_head.bbox_head.fc_reg.{leaf}", "roi.deltas.{leaf}"),
)

# What a name gives away of another detector.
_OTHERS = (
    (r"bbox_head\.(retina|cls_convs|atss|gfl|fcos)", "a detector of one stage, such as RetinaNet"),
    (r"(roi_head\.)?bbox_head\.\d\.", "Cascade R-CNN"),
    (r"(roi_head\.)?shared_head\.", "Faster R-CNN C4"),
    (r"neck\.fpn_convs\.[4-9]\.", "an FPN with convolutions above p5 (add_extra_convs)"),
    (r"(semantic_head|roi_head\.(semantic|glbctx))", "HTC or SCNet"),
    (r".*conv\d?_offset\.", "deformable convolutions"),
)
# What the settings are read from: dimensions by name.
_PARTS = {
    "backbone.conv1.weight": 4,
    "neck.lateral.0.0.weight": 4,
    "neck.output.0.0.weight": 4,
    "rpn.objectness.weight": 4,
    "roi.head.fcs.0.weight": 2,
    "roi.class_logits.weight": 2,
    "roi.class_logits.bias": 1,
    "roi.deltas.weight": 2,
    "roi.deltas.bias": 1,
}


def read_mmdetection(path: Path, stated: Stated) -> ConvertedDetector:
    """The detector in a checkpoint of mmdetection's.

    stated: stride_in stands for the style: 1x1 is caffe, 3x3 pytorch; config for the one it may hold itself.
    Raises WeightsError where the file is none, cannot be read, or holds what detres does not compute.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    try:
        content, inert = read_torch_file(path)
        theirs = state_dict_of(content)
        meta = content.get("meta") if isinstance(content.get("meta"), Mapping) else {}
        detector = convert_checkpoint(theirs, meta, stated, recipe=f"mmdetection {path.name}")
    except (WeightsError, ValueError) as error:
        raise WeightsError(f"{path}: {error}") from None
    if not inert:
        return detector
    return replace(detector, told=(*detector.told, f"left unread, beside the weights: {_listed(inert)}"))


def state_dict_of(content: Any) -> dict[str, Tensor]:
    """The tensors by name in what a file holds, alone or under state_dict, without DistributedDataParallel's prefix.

    Raises WeightsError where anything else lies among them.
    """
    theirs = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(theirs, Mapping) or not theirs:
        raise WeightsError(f"holds {_kind(theirs)}, expected tensors by name, alone or under state_dict")
    for name, tensor in theirs.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise WeightsError(
                f"its state dict holds {_kind(tensor)} under {name!r}, expected tensors alone. What would have to be "
                "built to read it might run any code, and is not"
            )
    return {name.removeprefix("module."): tensor for name, tensor in theirs.items()}


def convert_checkpoint(
    theirs: Mapping[str, Tensor], meta: Mapping[str, Any], stated: Stated, *, recipe: str
) -> ConvertedDetector:
    """A state dict and what lies beside it, in detres's terms.

    Raises WeightsError where detres has no such detector, or nothing says how it was built.
    """
    tensors, left_over = rename_tensors(theirs)
    config, whose, told = _config_of(meta, stated.config)
    check_convertible(config)
    rows_first = any(name.startswith("bbox_head.") for name in theirs)
    if rows_first:
        tensors = _background_last(tensors)
    used = without_stated(config, stated.layers)
    reading = Reading(used, old=rows_first or is_old(config), stride_in=stated.stride_in)
    try:
        backbone, known_from = backbone_of(reading, tensors, stated.norm_eps)
        names, names_from = _class_names(tensors, meta, stated)
        model = model_of(reading, tensors, backbone, names)
        data, test = data_of(reading), test_of(reading)
    except ValidationError as error:
        raise WeightsError(unusable(error, used)) from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise WeightsError(f"its config has values detres cannot use ({error})") from None
    if model.backbone.norm == "frozen":  # they have no use for the number of batches they saw
        tensors = {n: t for n, t in tensors.items() if not re.fullmatch(r"backbone\..+\.num_batches_tracked", n)}
    read = ConvertedDetector(tensors, model, data, test, backbone, recipe)
    by_config = said_by(reading, values_of(read), has_bottlenecks=has_bottlenecks(model))
    said = [layer_of(whose, key.split("."), value) for key, value in by_config.items()]
    detector, open_keys = settled(read, [*said, *stated.layers], config=None if said else "mmdetection's config")
    stats = backbone.pixel_stats
    told += [
        f"mmdetection {'1.x' if reading.old else '2.x or 3.x'}, stride in the {backbone.stride_in}, {stats.order} "
        f"pixels minus {stats.mean} over {stats.std}, {known_from}",
        f"class names: {names_from}",
        *open_keys,
        *remarks(reading),
        *pipeline_remarks(config),
        *([f"left over, {len(left_over)} tensors of a mask head, from {left_over[0]}"] if left_over else []),
    ]
    return replace(detector, told=tuple(told))


def rename_tensors(theirs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The tensors by our names, and the names of a mask head, which has no use here.

    Raises WeightsError for a network of another kind, by what its names give away.
    """
    for pattern, what in _OTHERS:
        if found := next((name for name in theirs if re.match(pattern, name)), None):
            raise WeightsError(f"holds {found}, as {what} does; Faster R-CNN with ResNet and FPN is converted")
    moved = {re.sub(r"^(bbox|mask)_head\.", r"roi_head.\1_head.", name): tensor for name, tensor in theirs.items()}
    tensors, unknown = rename(moved, NAMES)
    left_over = [name for name in unknown if name.startswith("roi_head.mask_")]
    unknown = [name for name in unknown if name not in left_over]
    missing = [name for name, dims in _PARTS.items() if name not in tensors or tensors[name].ndim != dims]
    if unknown or missing:
        found = f"{len(unknown)} unknown names, the first {unknown[:3]}" if unknown else f"nothing for {missing[:3]}"
        raise WeightsError(f"not a state dict of mmdetection's Faster R-CNN with ResNet and FPN: {found}")
    return tensors, left_over


def _background_last(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """1.x has the background first, with a box of its own that is never used."""
    moved = dict(tensors)
    for part in ("weight", "bias"):
        logits, deltas = tensors[f"roi.class_logits.{part}"], tensors[f"roi.deltas.{part}"]
        moved[f"roi.class_logits.{part}"] = torch.cat([logits[1:], logits[:1]])
        moved[f"roi.deltas.{part}"] = deltas[4:] if len(deltas) > 4 else deltas
    return moved


def _config_of(meta: Mapping[str, Any], stated: Path | None) -> tuple[StatedConfig, str, list[str]]:
    """The config that lies beside the weights, under the names it has had, or that a user names where there is none.

    And what it is called in messages, and what is to be told of it.
    """
    text = next((meta[key] for key in ("cfg", "config") if isinstance(meta.get(key), str)), None)
    problem = "holds no config; what it does not say is as mmdetection's Faster R-CNN usually is"
    if text is not None:
        try:
            config = StatedConfig.from_text(text)
            if stated is not None:
                raise WeightsError(f"--config {stated}: it holds its own config; leave the option out")
            return config, "its config", []
        except ValueError as error:
            problem = f"its config cannot be read ({error}), and is passed over"
    if stated is None:
        return StatedConfig({}), "its config", [problem]
    return StatedConfig.from_file(stated), str(stated), []


def _class_names(tensors: Mapping[str, Tensor], meta: Mapping[str, Any], stated: Stated) -> tuple[tuple[str, ...], str]:
    count = len(tensors["roi.class_logits.bias"]) - 1
    if stated.class_names is None:
        dataset = meta.get("dataset_meta")
        sections = [meta, dataset if isinstance(dataset, Mapping) else {}]
        for names in (section.get(key) for section in sections for key in ("CLASSES", "classes")):
            if isinstance(names, list | tuple) and len(names) == count and all(isinstance(n, str) for n in names):
                return tuple(names), "as the file has them"
    return class_names_of(count, stated.class_names)


def _kind(value: Any) -> str:
    is_inert = isinstance(value, Inert) or (isinstance(value, type) and issubclass(value, Inert))
    return value.name if is_inert else f"a {type(value).__name__}"


def _listed(inert: Mapping[str, int], most: int = 4) -> str:
    counts = sorted(inert.items(), key=lambda entry: (-entry[1], entry[0]))
    more = f" and {len(counts) - most} other kinds" if len(counts) > most else ""
    return ", ".join(f"{count} {name}" for name, count in counts[:most]) + more
