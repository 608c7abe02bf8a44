"""What a detector of mmdetection's is beside its weights, as settings of detres's.

A config says it, as far as it is there; what it leaves out is as mmdetection's own Faster R-CNN has it, which 1.x and
the versions since then have differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor

from detres.backbones.architectures import StrideIn
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
from detres.conversion.converted import resnet_of
from detres.conversion.foreign_configs import shown
from detres.conversion.mmdetection.configs import STRIDES, StatedConfig, kind_of
from detres.conversion.mmdetection.pipeline import divisors_of, sides_of, stats_steps
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS, PixelStats

STYLES: Mapping[str, StrideIn] = {"caffe": "1x1", "pytorch": "3x3"}
Rgb = tuple[float, float, float]
_CAFFE_STATS = PixelStats((103.53, 116.28, 123.675), (1.0, 1.0, 1.0), "bgr")
_CAFFE_STATS_1X = PixelStats((102.9801, 115.9465, 122.7717), (1.0, 1.0, 1.0), "bgr")

# Where mmdetection keeps tests' and training's settings, and what belongs to regions.
_TEST, _TRAIN = ("model.test_cfg", "test_cfg"), ("model.train_cfg", "train_cfg")
_EXTRACTOR = ("model.roi_head.bbox_roi_extractor", "model.bbox_roi_extractor")
_BOX_HEAD = ("model.roi_head.bbox_head", "model.bbox_head")
_MOST_ANCHORS = 64
"""Scales of a level, or ratios of a scale, or levels; configs have nine at most."""
_LOSSES = {"L1Loss": "smooth_l1", "SmoothL1Loss": "smooth_l1", "GIoULoss": "giou"}


@dataclass(frozen=True)
class Reading:
    """A config and what is known beside it.

    stated: the config, empty where there is none. old: by the conventions of 1.x. stride_in: where the first
    convolution of a bottleneck strides or the second, stated by the user; None: by the config.
    """

    stated: StatedConfig
    old: bool
    stride_in: StrideIn | None = None

    def get(self, *paths: str, default: Any = None) -> Any:
        return self.stated.get(*paths, default=default)


def is_old(stated: StatedConfig) -> bool:
    """Whether a config asks for the conventions of 1.x, in which a box's last pixel is its corner."""
    generator = kind_of(stated.get("model.rpn_head.anchor_generator"))
    return generator == "LegacyAnchorGenerator" or stated.get("model.bbox_head") is not None


def backbone_of(reading: Reading, tensors: Mapping[str, Tensor], norm_eps: float | None) -> tuple[WeightsMetadata, str]:
    """What the trunk's weights expect, and where that is known from. tensors: by our names.

    Raises WeightsError where nothing says the style, or the user says another than the config.
    """
    has_config = reading.get("model.backbone") is not None
    style = reading.get("model.backbone.style", default="pytorch") if has_config else None
    if style is not None and style not in STYLES:
        raise WeightsError(f"its config says model.backbone.style={style}; there are {' and '.join(STYLES)}")
    stride_in = STYLES[style] if style else reading.stride_in
    if stride_in is None:
        raise WeightsError(
            "holds no config that says its style, and weights of one style are worthless in the other. Say "
            "--stride-in 1x1 for style caffe (BGR pixels), --stride-in 3x3 for style pytorch (RGB pixels)"
        )
    if reading.stride_in not in (None, stride_in):
        raise WeightsError(f"--stride-in {reading.stride_in}: its config says style {style}; leave the option out")
    stats = _pixel_stats(reading)
    caffe = _CAFFE_STATS_1X if reading.old else _CAFFE_STATS
    known_from = "as its config says" if stats else "as that style usually is"
    stats = stats or (caffe if stride_in == "1x1" else IMAGENET_STATS)
    stated_eps = reading.get("model.backbone.norm_cfg.eps", default=1e-5)
    eps = float(stated_eps) if norm_eps is None else norm_eps
    name = resnet_of(tensors)
    # Nets of two 3×3 a block stride in the first, whatever the style.
    placed = stride_in if "backbone.layer1.0.conv3.weight" in tensors else "3x3"
    return WeightsMetadata(name, stats, stride_in=placed, norm_eps=eps), known_from


def model_of(
    reading: Reading, tensors: Mapping[str, Tensor], backbone: WeightsMetadata, class_names: tuple[str, ...]
) -> ModelConfig:
    """The model. tensors: by our names, whose shapes say how wide and deep the heads are."""
    frozen = reading.get("model.backbone.norm_eval", default=True)
    return ModelConfig(
        layout="fpn",
        backbone=DetectorBackboneConfig(
            name=backbone.architecture,
            stride_in=backbone.stride_in,
            norm="frozen" if frozen else "batch",
            norm_eps=backbone.norm_eps,
        ),
        fpn=FpnConfig(channels=len(tensors["neck.lateral.0.0.weight"]), norm=_norm(tensors, "neck.lateral.0")),
        anchors=_anchors(reading),
        rpn=_rpn(reading, tensors),
        roi=_roi(reading, tensors),
        pad_to=_pad_to(reading),
        class_names=class_names,
    )


def data_of(reading: Reading) -> DataConfig:
    """Images are scaled to fit into two sides, of which the longer bounds the longer."""
    shorter, longer = sides_of(reading.stated) or (800, 1333)
    return DataConfig(shortest_side=(shorter,), longest_side=longer, rounding="nearest")


def test_of(reading: Reading) -> TestConfig:
    rcnn = [f"{root}.rcnn" for root in _TEST]
    nms = [f"{path}.nms.{key}" for path in rcnn for key in ("iou_threshold", "iou_thr")]
    return TestConfig(
        score=reading.get(*(f"{path}.score_thr" for path in rcnn), default=0.05),
        nms=reading.get(*nms, default=0.5),
        max_detections=reading.get(*(f"{path}.max_per_img" for path in rcnn), default=100),
    )


def remarks(reading: Reading) -> list[str]:
    """What the config asks for that will be otherwise, though the detections' function of the weights is the same."""
    told = []
    for root in _TEST:
        if (kind := kind_of(reading.get(f"{root}.rcnn.nms"))) not in (None, "nms"):
            told.append(f"its config suppresses by {kind} in tests; here nms does, unless test.* says otherwise")
        if reading.get(f"{root}.rcnn.nms.class_agnostic"):
            told.append(
                f"its config suppresses across classes in tests ({root}.rcnn.nms.class_agnostic); here within each"
            )
    for paths in (("model.rpn_head",), _BOX_HEAD):
        section = reading.get(*(f"{path}.loss_bbox" for path in paths))
        if section is not None and kind_of(section) not in (*_LOSSES, None):
            told.append(f"{paths[0]} learned by {kind_of(section)}; training goes on with L1")
    return told


def _pixel_stats(reading: Reading) -> PixelStats | None:
    """3.x normalizes in the model, from BGR unless it says otherwise; before, a step of the pipeline did, into RGB."""
    sections = [(reading.get("model.data_preprocessor", "data_preprocessor"), "bgr_to_rgb", False)]
    steps = [*stats_steps(reading.stated), *reading.stated.below("img_norm_cfg")]
    sections += [(step, "to_rgb", True) for step in steps]
    for section, key, default in sections:
        if isinstance(section, Mapping) and {"mean", "std"} <= section.keys():
            # How many they are is looked at where all that is said is (conversion/keys.py).
            mean, std = (cast(Rgb, tuple(float(value) for value in section[name])) for name in ("mean", "std"))
            return PixelStats(mean, std, "rgb" if section.get(key, default) else "bgr")
    return None


def _pad_to(reading: Reading) -> int:
    preprocessor = reading.get("model.data_preprocessor", "data_preprocessor")
    if isinstance(preprocessor, Mapping):
        return int(preprocessor.get("pad_size_divisor", 1))
    return next(map(int, divisors_of(reading.stated)), 32)


def _anchors(reading: Reading) -> AnchorsConfig:
    """Sizes are scales times strides; their square roots of areas go by scale within a ratio."""
    generator = "model.rpn_head.anchor_generator"
    scales = reading.get(f"{generator}.scales", "model.rpn_head.anchor_scales", default=[8])
    if (base := reading.get(f"{generator}.octave_base_scale")) is not None:
        count = reading.get(f"{generator}.scales_per_octave", default=1)
        if type(count) is not int or not 1 <= count <= _MOST_ANCHORS:
            raise WeightsError(
                f"its config says {generator}.scales_per_octave={shown(count)}, expected a whole number from 1 to "
                f"{_MOST_ANCHORS}; model.anchors.sizes=… says the sizes instead"
            )
        scales = [base * 2 ** (i / count) for i in range(count)]
    bases = reading.get(f"{generator}.base_sizes", "model.rpn_head.anchor_base_sizes") or STRIDES
    ratios = reading.get(f"{generator}.ratios", "model.rpn_head.anchor_ratios", default=[0.5, 1.0, 2.0])
    scales, bases, ratios = (
        _few(values, what) for values, what in ((scales, "scales"), (bases, "base sizes"), (ratios, "ratios"))
    )
    return AnchorsConfig(
        sizes=tuple(tuple(float(scale * base) for scale in scales) for base in bases),
        ratios=tuple(ratios),
        rounded=reading.old,
        order="ratio" if reading.get(f"{generator}.scale_major", default=True) else "size",
        offset=reading.get(f"{generator}.center_offset", default=0.5 if reading.old else 0.0),
    )


def _few(values: Any, what: str) -> list[float]:
    """Anchors are as many as the product of these. Raises WeightsError for anything but a short list of numbers."""
    numbers = values if isinstance(values, list) else [values]
    if len(numbers) > _MOST_ANCHORS or not all(type(number) in (int, float) for number in numbers):
        raise WeightsError(
            f"its config has {shown(values)} as anchors' {what}, expected {_MOST_ANCHORS} numbers at most"
        )
    return numbers


def _rpn(reading: Reading, tensors: Mapping[str, Tensor]) -> RpnConfig:
    tests = [f"{root}.rpn" for root in _TEST]
    trains = [f"{root}.rpn_proposal" for root in _TRAIN]

    def setting(sections: list[str], *keys: str, default: Any) -> Any:
        return reading.get(*(f"{section}.{key}" for section in sections for key in keys), default=default)

    return RpnConfig(
        convs=sum(name.startswith("rpn.convs.") and name.endswith(".weight") for name in tensors),
        pre_nms_train=setting(trains, "nms_pre", default=2000),
        pre_nms_test=setting(tests, "nms_pre", default=1000),
        post_nms_train=setting(trains, "max_per_img", "max_num", default=2000 if reading.old else 1000),
        post_nms_test=setting(tests, "max_per_img", "max_num", default=1000),
        nms=setting(tests, "nms.iou_threshold", "nms.iou_thr", "nms_thr", default=0.7),
        min_size=max(setting(tests, "min_bbox_size", default=0), 0),
        codec_weights=_codec_weights(reading, ("model.rpn_head",), [1.0] * 4),
        box_loss=_box_loss(reading, ("model.rpn_head",)),
        normalizer="samples",
    )


def _roi(reading: Reading, tensors: Mapping[str, Tensor]) -> RoiConfig:
    def layer(*keys: str, default: Any) -> Any:
        return reading.get(*(f"{path}.roi_layer.{key}" for path in _EXTRACTOR for key in keys), default=default)

    classes, deltas = len(tensors["roi.class_logits.bias"]) - 1, len(tensors["roi.deltas.bias"])
    convs = sum(name.startswith("roi.head.convs.") and name.endswith(".0.weight") for name in tensors)
    conv_channels = len(tensors["roi.head.convs.0.0.weight"]) if convs else 256
    first = tensors["roi.head.fcs.0.weight"]
    cells = first.shape[1] // (conv_channels if convs else len(tensors["neck.output.0.0.weight"]))
    # An RoI of the finest level's size doubled twice reads two levels up: 56 there, 224 at level 4.
    finest = reading.get(*(f"{path}.finest_scale" for path in _EXTRACTOR), default=56)
    return RoiConfig(
        pool=round(cells**0.5),
        sampling_ratio=layer("sampling_ratio", "sample_num", default=2 if reading.old else 0),
        aligned=layer("aligned", default=not reading.old),
        codec_weights=_codec_weights(reading, _BOX_HEAD, [0.1, 0.1, 0.2, 0.2]),
        class_agnostic=deltas == 4 and classes > 1,
        box_loss=_box_loss(reading, _BOX_HEAD),
        normalizer="samples",
        head_convs=convs,
        head_conv_channels=conv_channels,
        head_fcs=sum(name.startswith("roi.head.fcs.") and name.endswith(".weight") for name in tensors),
        head_fc_channels=len(first),
        head_norm=_norm(tensors, "roi.head.convs.0"),
        canonical_size=4.0 * finest,
        canonical_level=4,
    )


def _norm(tensors: Mapping[str, Tensor], block: str) -> str:
    """Of a block of convolutions: batch norms have statistics, group norms have not."""
    if f"{block}.1.running_mean" in tensors:
        return "batch"
    return "group" if f"{block}.1.weight" in tensors else "none"


def _codec_weights(reading: Reading, heads: tuple[str, ...], default: list[float]) -> tuple[float, ...]:
    """Offsets were divided by standard deviations, and are multiplied by weights here."""
    paths = [f"{head}.{coder}" for head in heads for coder in ("bbox_coder.target", "target")]
    means = reading.get(*(f"{path}_means" for path in paths), default=[0.0] * 4)
    if any(means):
        raise WeightsError(f"its config subtracts means from boxes ({heads[0]}: {means}); detres subtracts none")
    return tuple(1 / deviation for deviation in reading.get(*(f"{path}_stds" for path in paths), default=default))


def _box_loss(reading: Reading, heads: tuple[str, ...]) -> BoxLossConfig:
    section = reading.get(*(f"{head}.loss_bbox" for head in heads))
    kind = kind_of(section)
    if kind not in _LOSSES:
        return BoxLossConfig()
    beta = section.get("beta", 1.0) if kind == "SmoothL1Loss" else 0.0
    return BoxLossConfig(name=_LOSSES[kind], beta=beta, weight=section.get("loss_weight", 1.0))
