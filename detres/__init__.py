"""Residual networks trained by the paper's recipe, plugged into Faster R-CNN.

Importing detres opens no connection, imports nothing slow and configures no logging: names are found when first used.
"""

import importlib
import os
from typing import Any

from detres.errors import ConfigError, DataError, UserError, WeightsError
from detres.version import __version__

# albumentations asks the registry for its newest version when it is imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

_LAZY = {
    "build_backbone": "detres.backbones",
    "list_backbones": "detres.backbones",
    "build_classifier": "detres.classification.classifier",
    "load_config": "detres.config.loading",
    "build_detector": "detres.experiments.detection_models",
    "train": "detres.experiments.training",
    "evaluate": "detres.experiments.evaluation",
    "Logger": "detres.training.logger",
    "PictureLogger": "detres.training.logger",
    "RunStart": "detres.training.logger",
    "Classifier": "detres.prediction",
    "Detector": "detres.prediction",
    "ClassificationBatch": "detres.structures",
    "DetectionBatch": "detres.structures",
    "DetectionTarget": "detres.structures",
    "Detections": "detres.structures",
    "FeatureSpec": "detres.structures",
    "PixelStats": "detres.structures",
}

__all__ = [
    "ConfigError",
    "DataError",
    "UserError",
    "WeightsError",
    "__version__",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'detres' has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
