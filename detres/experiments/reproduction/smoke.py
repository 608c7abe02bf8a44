"""A smoke run: every row for a few steps on the embedded shapes, to see that all of it works. Its figures mean nothing.

Nets of more than 20 layers, and all of ImageNet's, are stood in for by CIFAR's of 20 layers with the same shortcut.
"""

from __future__ import annotations

from dataclasses import replace

from detres.backbones.architectures import BACKBONES, Architecture
from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import Layer
from detres.data.shape_drawing import SHAPES
from detres.experiments.reproduction.rows import Error

CROP = 32
_SHRUNK = 7  # an ImageNet crop of 224 pixels to 32, and the sides of its tests alike
_MOST_BLOCKS = 9
_CLASSES = 2

SETTINGS = {
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


def smoke_layers(config: ClassificationConfig) -> list[Layer]:
    """What a smoke run lays over a recipe, and the net that stands in for its own where that is a large one."""
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
