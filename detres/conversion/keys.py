"""What is said of another project's weights beside them: by their config, by the file, or by whoever converts them.

It is said in the keys of detres's configs, and in those that only weights have: how pixels are normalized, and how the
max pool is padded. A *layer* is one source of such values, the last one counting (config/loading.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Literal

from detres.backbones.architectures import BACKBONES
from detres.backbones.weights.described import check_extents
from detres.backbones.weights.metadata import WeightsMetadata
from detres.config.detection_schema import DataConfig, DetectorBackboneConfig, ModelConfig, TestConfig
from detres.config.loading import Layer, leaves, resolve_by
from detres.config.sections import Positive, Section
from detres.conversion.converted import ConvertedDetector
from detres.detection.files import PREPROCESSING, DetectorSettings
from detres.detection.model.anchors import default_sizes
from detres.detection.model.building import padding_multiple
from detres.errors import WeightsError
from detres.structures import PixelStats

NOT_HELD = (
    "model.anchors.sizes",
    "model.anchors.ratios",
    "model.anchors.offset",
    "model.backbone.stride_in",
    "model.backbone.pixel_stats.mean",
    "model.backbone.pixel_stats.std",
    "model.backbone.pixel_stats.order",
    "model.rpn.pre_nms_test",
    "model.rpn.post_nms_test",
    "model.rpn.nms",
    "model.rpn.min_size",
    "model.rpn.codec_weights",
    "model.roi.pool",
    "model.roi.sampling_ratio",
    "model.roi.aligned",
    "model.roi.codec_weights",
    "data.shortest_side",
    "data.longest_side",
    "test.score",
    "test.nms",
    "test.max_detections",
)
"""What decides detections and is in no state dict."""

# What names and shapes of tensors say; roi.pool as well, but in C4.
_BY_WEIGHTS = frozenset(
    {
        *("model.layout", "model.global_context", "model.fpn.channels", "model.fpn.norm", "model.rpn.convs"),
        *("model.backbone.name", "model.backbone.shortcut", "model.backbone.output_stride", "model.backbone.norm"),
        *("model.roi.class_agnostic", "model.roi.head_convs", "model.roi.head_conv_channels", "model.roi.head_fcs"),
        *("model.roi.head_fc_channels", "model.roi.head_norm"),
    }
)
# What a run has, and a file of weights does not keep.
_OF_RUNS = frozenset(
    f"model.backbone.{key}" for key in ("weights", "frozen_stages", "zero_init_last", "allow_mismatch")
) | {f"data.{key}" for key in DataConfig.model_fields if key not in PREPROCESSING}
# Of the backbone's metadata, what has a key here.
_OF_METADATA = ("stride_in", "pool", "norm_eps", "pixel_stats")


class _PixelsSection(Section):
    mean: tuple[float, float, float] = (123.675, 116.28, 103.53)
    std: tuple[Positive, Positive, Positive] = (58.395, 57.12, 57.375)
    order: Literal["rgb", "bgr"] = "rgb"


class _BackboneSection(DetectorBackboneConfig):
    pool: Literal["torch", "caffe"] = "torch"
    pixel_stats: _PixelsSection = _PixelsSection()


class _ModelSection(ModelConfig):
    backbone: _BackboneSection = _BackboneSection()


class _Said(Section):
    """Every key that may be said."""

    model: _ModelSection = _ModelSection()
    data: DataConfig = DataConfig()
    test: TestConfig = TestConfig()


def settled(
    detector: ConvertedDetector, layers: Sequence[Layer], *, config: str | None = None
) -> tuple[ConvertedDetector, tuple[str, ...]]:
    """The detector as `layers` have it, and a line for each key that its tensors leave open: whose value it has.

    config: whose config could say more, where none was given.
    Raises ConfigError for what is said wrongly; WeightsError for what the weights decide, or what does not fit them.
    """
    said = resolve_by(_Said, [Layer("the weights", _groups(detector)), *layers])
    _refuse_what_weights_decide(layers, detector.model)
    stats, eps = said.model.backbone.pixel_stats, said.model.backbone.norm_eps
    backbone = replace(
        detector.backbone,
        stride_in=said.model.backbone.stride_in or detector.backbone.stride_in,
        pool=said.model.backbone.pool,
        norm_eps=detector.backbone.norm_eps if eps is None else eps,
        pixel_stats=PixelStats(stats.mean, stats.std, stats.order),
    )
    placed = {"stride_in": backbone.stride_in, "norm_eps": backbone.norm_eps}
    values = {name: getattr(said.model, name) for name in ModelConfig.model_fields}
    values["backbone"] = detector.model.backbone.model_copy(update=placed)
    if detector.model.anchors.sizes is None and said.model.anchors.sizes == _default_sizes(detector.model):
        values["anchors"] = said.model.anchors.model_copy(update={"sizes": None})
    model = detector.model.model_copy(update=values)
    settings = replace(detector, model=model, preprocessing=said.data, test=said.test, backbone=backbone)
    _check_readable(settings)
    _check_counts(settings, config)
    return settings, tuple(_lines(settings, layers, config))


def overrides_from(there: ConvertedDetector, here: DetectorSettings | ConvertedDetector) -> tuple[str, ...]:
    """What has to be said (key=value) of a detector that is read as `there` for it to be as `here`."""
    ours, theirs = values_of(here), values_of(there)
    left_out = _OF_RUNS | _BY_WEIGHTS | ({"model.roi.pool"} if ours["model.layout"] != "c4" else set())
    return tuple(
        override(key, value) for key, value in ours.items() if key not in left_out and value != theirs.get(key)
    )


def values_of(detector: DetectorSettings | ConvertedDetector) -> dict[str, Any]:
    """What a detector has for every key that may be said, with what an open one stands for."""
    flat, model = _flat(_groups(detector)), detector.model
    flat["model.anchors.sizes"] = model.anchors.sizes or _default_sizes(model)
    flat["model.roi.pool"] = model.roi.pool or (14 if model.layout == "c4" else 7)
    flat["model.pad_to"] = padding_multiple(model)
    return flat


def _groups(detector: DetectorSettings | ConvertedDetector) -> dict[str, Any]:
    assert detector.backbone is not None, "of another project, or to become one of its"
    model, known = detector.model.model_dump(), asdict(detector.backbone)
    model["backbone"] |= {key: known[key] for key in _OF_METADATA}
    data = detector.preprocessing.model_dump(include=set(PREPROCESSING))
    return {"model": model, "data": data, "test": detector.test.model_dump()}


def override(key: str, value: Any) -> str:
    """key=value as the command line takes it, without spaces."""
    text = json.dumps(_short(value), ensure_ascii=False, separators=(",", ":"))
    is_plain_word = isinstance(value, str) and re.fullmatch(r"[a-z]+\w*", value) and value not in ("true", "false")
    return f"{key}={value if is_plain_word else text}"


def asked(layers: Sequence[Layer], key: str) -> Any:
    """What the last layer says that has this key; None where none has."""
    found = None
    for layer in layers:
        values: Any = layer.values
        for part in key.split("."):
            values = values.get(part) if isinstance(values, Mapping) else None
        found = values if values is not None else found
    return found


def _default_sizes(model: ModelConfig) -> tuple[tuple[float, ...], ...]:
    return default_sizes(5 if model.layout == "fpn" else 1)


def _refuse_what_weights_decide(layers: Sequence[Layer], model: ModelConfig) -> None:
    by_weights = _BY_WEIGHTS | ({"model.roi.pool"} if model.layout != "c4" else set())
    problems = []
    for layer in layers:
        for key in map(".".join, leaves(layer.values)):
            if key in by_weights:
                problems.append(f"{layer.source}: the weights themselves say {key}; leave it out")
            elif key in _OF_RUNS:
                problems.append(f"{layer.source}: a file of weights does not keep {key}; leave it out")
            elif key == "model.backbone.stride_in" and not has_bottlenecks(model):
                problems.append(f"{layer.source}: {model.backbone.name} has no bottlenecks; leave it out")
    if problems:
        raise WeightsError("; ".join(problems))


def has_bottlenecks(model: ModelConfig) -> bool:
    return getattr(BACKBONES.get(model.backbone.name), "block", None) == "bottleneck"


def _check_readable(detector: ConvertedDetector) -> None:
    """Raise WeightsError for what no file of detres's may say, which would be written and never read again."""
    try:
        check_extents(_groups(detector))
    except ValueError as error:
        raise WeightsError(
            f"what is said of it is beyond any model of detres's: {error}; key=value sets another"
        ) from None
    WeightsMetadata.from_json(detector.backbone.to_json(), where="what is said of its backbone")


def _check_counts(detector: ConvertedDetector, config: str | None) -> None:
    """Raise WeightsError where the tensors have another number of anchors or classes than was said."""
    anchors = detector.model.anchors
    sizes = anchors.sizes or _default_sizes(detector.model)
    found, laid = len(detector.tensors["rpn.objectness.weight"]), len(sizes[0]) * len(anchors.ratios)
    if found != laid:
        raise WeightsError(
            f"its RPN has {found} anchors a cell, and {override('model.anchors.sizes', sizes)} with "
            f"{override('model.anchors.ratios', anchors.ratios)} lays {laid}; say which they were, with these keys"
            f"{f' or with --config FILE, which is {config}' if config else ''}"
        )
    names, rows = detector.model.class_names or (), len(detector.tensors["roi.class_logits.bias"]) - 1
    if len(names) != rows:
        raise WeightsError(f"{len(names)} class names for weights with {rows} classes beside the background")


def _lines(detector: ConvertedDetector, layers: Sequence[Layer], config: str | None) -> Iterator[str]:
    values, model = values_of(detector), detector.model
    read = f"; --config FILE reads them from {config}" if config else ""
    yield f"what the tensors do not hold (key=value sets another{read}):"
    for key in NOT_HELD:
        if key == "model.roi.pool" and model.layout != "c4":
            continue
        if key == "model.backbone.stride_in" and not has_bottlenecks(model):
            continue
        yield f"  {_whose(key, layers)} {override(key, values[key])}"


def _whose(key: str, layers: Sequence[Layer]) -> str:
    for layer in reversed(layers):
        if asked([layer], key) is not None:
            return "stated" if layer.source.startswith((f"{key}=", f"{key} =")) else f"{layer.source}:"
    return "assumed"


def _flat(groups: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in groups.items():
        flat |= _flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {f"{above}{key}": value}
    return flat


def _short(value: Any) -> Any:
    """Whole numbers without a fraction, whatever their type."""
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else value
