"""A default stands in the schema, and where a constructor has one of the same name, it is the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest

from detres.backbones.building import Choices, build_backbone
from detres.classification.classifier import build_classifier
from detres.classification.losses import build_loss
from detres.classification.mixing import Mixing
from detres.config import classification_schema, detection_schema, localization_schema, sections
from detres.config.sections import Section
from detres.data.classification.crops import AreaCropping
from detres.data.classification.device_set import DeviceSet
from detres.data.classification.transforms import ClassificationTransform
from detres.data.detection.transforms import DetectionTransform
from detres.data.localization.loaders import LocalizationDataset
from detres.detection.model.anchors import AnchorGrid
from detres.detection.model.fpn import FPN
from detres.detection.model.losses import BoxLoss
from detres.detection.model.roi_heads import RoIHeads, RoIPooler
from detres.detection.model.rpn import RPN
from detres.localization.class_rpn import ClassRPN
from detres.localization.localizers import RcnnLocalizer
from detres.localization.testing import Finder
from detres.training.optimizers import build_optimizer
from detres.training.reactive_schedules import plateau
from detres.training.running import Run
from detres.training.schedule_building import build_schedule
from detres.training.schedules import Rates, cosine, poly, step

# Each section, and what its keys are handed to by their own names.
HANDED_TO: list[tuple[type[Section], Callable[..., Any]]] = [
    *((sections.BackboneConfig, made) for made in (build_backbone, Choices)),
    (detection_schema.DetectorBackboneConfig, build_backbone),
    *((classification_schema.ClassifierConfig, made) for made in (Choices, build_classifier)),
    (detection_schema.FpnConfig, FPN),
    (detection_schema.AnchorsConfig, AnchorGrid),
    (detection_schema.RpnConfig, RPN),
    *((detection_schema.RoiConfig, made) for made in (RoIHeads, RoIPooler)),
    (detection_schema.BoxLossConfig, BoxLoss),
    (detection_schema.TestConfig, RoIHeads),
    (detection_schema.DataConfig, DetectionTransform),
    (sections.OptimizerConfig, build_optimizer),
    *((sections.ScheduleConfig, made) for made in (build_schedule, Rates, step, cosine, poly, plateau)),
    *((classification_schema.LossConfig, made) for made in (build_loss, Mixing)),
    *((classification_schema.ClassificationDataConfig, made) for made in (ClassificationTransform, AreaCropping)),
    (classification_schema.ClassificationDataConfig, DeviceSet.training_batches),
    (localization_schema.ClassRpnConfig, ClassRPN),
    (localization_schema.RcnnConfig, RcnnLocalizer),
    (localization_schema.LocalizationDataConfig, LocalizationDataset),
    (localization_schema.LocalizationTestConfig, Finder),
    (sections.TrainingConfig, Run),
]
# Handed on as something else than the config has.
ANOTHER_MEANING = {
    ("DetectorBackboneConfig", "output_stride"),  # null is the layout's.
    ("DataConfig", "augment"),  # A transform without any is that of a test.
    ("LocalizationDataConfig", "strict"),  # null is false in training.
    ("BoxLossConfig", "options"),  # A dict of its own each time.
    *((section, "objectness_loss") for section in ("RpnConfig", "ClassRpnConfig")),  # An ObjectnessLoss.
    *((section, "box_loss") for section in ("RpnConfig", "RoiConfig", "ClassRpnConfig", "RcnnConfig")),  # A BoxLoss.
}


@pytest.mark.parametrize(("section", "made"), HANDED_TO, ids=lambda each: each.__qualname__)
def test_a_constructor_has_the_default_of_the_key_of_its_name(section: type[Section], made: Callable[..., Any]) -> None:
    compared = 0
    for name, parameter in inspect.signature(made).parameters.items():
        if name not in section.model_fields or (section.__name__, name) in ANOTHER_MEANING:
            continue
        compared += 1
        if parameter.default is not inspect.Parameter.empty:
            assert parameter.default == section.model_fields[name].default, name
    assert compared
