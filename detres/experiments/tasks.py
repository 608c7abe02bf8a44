"""What there is to train: for each task of a config, the command, and the parts that it contributes to a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from detres.experiments.classification_dry_run import classification_dry_parts
from detres.experiments.classification_parts import classification_parts
from detres.experiments.detection_dry_run import detection_dry_parts
from detres.experiments.detection_parts import detection_parts
from detres.experiments.localization_dry_run import localization_dry_parts
from detres.experiments.localization_parts import localization_parts
from detres.experiments.parts import DryParts, TrainingParts


@dataclass(frozen=True)
class Task:
    """training_parts: (config, start, device, say). dry_parts: (config, weights, device, say, data_is_stated)."""

    training_parts: Callable[..., TrainingParts]
    dry_parts: Callable[..., DryParts]


TASKS: Mapping[str, Task] = {
    "classification": Task(classification_parts, classification_dry_parts),
    "detection": Task(detection_parts, detection_dry_parts),
    "localization": Task(localization_parts, localization_dry_parts),
}
