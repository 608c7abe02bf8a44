"""A smoke run: every row for a few steps on the embedded shapes, to see that all of it works. Its figures mean nothing.

Nets of more than 20 layers, and all of ImageNet's, are stood in for by CIFAR's of 20 layers with the same shortcut;
the trunks of detectors by a ResNet-18, in the detector's own layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from detres.backbones.architectures import BACKBONES, Architecture
from detres.config.detection_schema import Config
from detres.config.loading import AnyConfig, Layer, read_override
from detres.config.localization_schema import LocalizationConfig
from detres.data.formats.shapes import SHAPES
from detres.reproduction.rows import Error

CROP = 32
_SHRUNK = 7  # an ImageNet crop of 224 pixels to 32, and the sides of its tests alike
_MOST_BLOCKS = 9
_CLASSES = 2

SETTINGS: Mapping[str, Any] = {
    "task": "classification",
    "data": {
        "format": "shapes",
        "root": None,
        "train": ["test"],  # a few images that are not val's
        "val": ["val"],
        "test": [],
        "classes": list(SHAPES[:_CLASSES]),
        "val_fraction": 0.0,
        "images": None,
        "workers": 0,
        "in_memory": None,
        "crop": CROP,
        "shortest_side": [36, 48],
        "repeats": 1,
    },
    "training": {
        "steps": 2,
        "batch": 4,
        "per_device_batch": None,
        "precision": "float32",
        "compile": False,
        "log_every": 1,
        "eval_every": None,
        "keep_every": None,
        "recompute_norms": 16,
    },
    "schedule": {"name": "constant", "warmup_steps": 0, "warmup_error": None, "milestones": []},
    "test": {"scales": [36], "batch": 16, "crop": None},
}

_SIDE = 64

DETECTION_SETTINGS = {
    "task": "detection",
    "model": {
        "backbone": {"name": "resnet18", "weights": None, "frozen_stages": 0, "stride_in": None, "output_stride": None},
        "fpn": {"channels": 32},
        "rpn": {"pre_nms_train": 50, "post_nms_train": 10, "pre_nms_test": 20, "post_nms_test": 4},
        "roi": {"batch_per_image": 8, "pool": 2, "sampling_ratio": 1, "head_fc_channels": 32},
    },
    "data": {
        "format": "shapes",
        "root": None,
        "train": ["test"],
        "val": [],
        "test": ["val"],
        "classes": None,
        "val_fraction": 0.0,
        "workers": 0,
        "shortest_side": [_SIDE],
        "longest_side": 96,
    },
    "training": {
        "steps": 2,
        "batch": 2,
        "per_device_batch": None,
        "precision": "float32",
        "compile": False,
        "log_every": 1,
        "eval_every": None,
        "keep_every": None,
    },
    "optimizer": {"momentum": 0.0},  # half of what a checkpoint holds
    "schedule": {"name": "constant", "warmup_steps": 0, "warmup_error": None, "milestones": []},
    "test": {"batch": 16},
}


LOCALIZATION_SETTINGS = {
    "task": "localization",
    "model": {
        "backbone": {"name": "resnet18", "weights": None, "stride_in": None},
        "anchors": {"sizes": [12, 20], "ratios": [1.0]},
        "rpn": {"channels": 16},
    },
    "data": {key: SETTINGS["data"][key] for key in ("format", "root", "train", "val", "test", "classes", "workers")}
    | {"crop": CROP, "shortest_side": [36, 48]},
    "training": {key: value for key, value in SETTINGS["training"].items() if key != "recompute_norms"},
    "schedule": SETTINGS["schedule"],
    "test": {"scales": [36], "batch": 16, "proposals": 4},
}


def smoke_layers(config: AnyConfig) -> list[Layer]:
    """What a smoke run lays over a recipe, and the net that stands in for its own where that is a large one."""
    if isinstance(config, Config):
        return [Layer("--smoke", DETECTION_SETTINGS)]
    if isinstance(config, LocalizationConfig):
        return [Layer("--smoke", LOCALIZATION_SETTINGS)]
    stand_in = stand_in_for(config.model.backbone.name)
    model = {"model": {"backbone": {"name": stand_in, "stride_in": None}}} if stand_in else {}
    return [Layer("--smoke", SETTINGS), Layer("--smoke", model)]


def stand_in_for(name: str) -> str | None:
    """The net that a smoke run trains in a large one's place; None where it trains the net itself."""
    net = BACKBONES[name]
    if net.crop == 32 and sum(net.depths) <= _MOST_BLOCKS:
        return None
    return "cifar10_plain20" if isinstance(net, Architecture) and net.shortcut == "plain" else "cifar10_resnet20"


def smoke_test(error: Error) -> Error:
    """The same test on shapes: its sides shrunk as the crop is, and at most two of them."""
    return replace(error, scales=tuple(round(side / _SHRUNK) for side in error.scales[:2]))


def smoke_detection_test(overrides: Sequence[str]) -> tuple[str, ...]:
    """The same test on shapes: at most two scales, of which one is the side that is trained at."""
    return tuple(
        f"test.scales={[_SIDE // 2, _SIDE]}" if "scales" in read_override(text).values["test"] else text
        for text in overrides
    )


def smoke_localization_test(overrides: Sequence[str]) -> tuple[str, ...]:
    """The same test on shapes: at a side that is shrunk as the crop is."""
    return tuple(
        f"test.scales={[round(side / _SHRUNK) for side in read_override(text).values['test']['scales']]}"
        if "scales" in read_override(text).values["test"]
        else text
        for text in overrides
    )
