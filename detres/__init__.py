"""Residual networks trained by the paper's recipe, plugged into Faster R-CNN.

Importing detres opens no connection, imports nothing slow and configures no logging: names are found when first used.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from detres.errors import ConfigError, DataError, UserError, WeightsError
from detres.version import __version__

if TYPE_CHECKING:  # For type checkers, which do not run __getattr__; `as` says that a name is handed on.
    from detres.backbones import build_backbone as build_backbone
    from detres.backbones import list_backbones as list_backbones
    from detres.classification.classifier import build_classifier as build_classifier
    from detres.config.loading import load_config as load_config
    from detres.prediction import Classifier as Classifier
    from detres.prediction import Detector as Detector
    from detres.reporter import Reporter as Reporter
    from detres.structures import ClassificationBatch as ClassificationBatch
    from detres.structures import DetectionBatch as DetectionBatch
    from detres.structures import Detections as Detections
    from detres.structures import DetectionTarget as DetectionTarget
    from detres.structures import FeatureSpec as FeatureSpec
    from detres.structures import PixelStats as PixelStats
    from detres.tasks.detection.models import build_detector as build_detector
    from detres.tasks.evaluation import evaluate as evaluate
    from detres.tasks.training import train as train
    from detres.training.logging.logger import Logger as Logger
    from detres.training.logging.logger import PictureLogger as PictureLogger
    from detres.training.logging.logger import RunStart as RunStart

# albumentations asks the registry for its newest version when it is imported, unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

_LAZY = {
    "build_backbone": "detres.backbones",
    "list_backbones": "detres.backbones",
    "build_classifier": "detres.classification.classifier",
    "load_config": "detres.config.loading",
    "build_detector": "detres.tasks.detection.models",
    "train": "detres.tasks.training",
    "evaluate": "detres.tasks.evaluation",
    "Logger": "detres.training.logging.logger",
    "PictureLogger": "detres.training.logging.logger",
    "RunStart": "detres.training.logging.logger",
    "Reporter": "detres.reporter",
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


if not TYPE_CHECKING:  # With it, a checker would take any name for one of ours.

    def __getattr__(name: str) -> Any:
        if name not in _LAZY:
            raise AttributeError(f"module 'detres' has no attribute {name!r}")
        return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
