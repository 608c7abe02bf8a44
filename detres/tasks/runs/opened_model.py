"""The one door to a model's weights: of what task they are, what they say of themselves, and their tensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from detres.backbones.architectures import BACKBONES
from detres.checkpoints.reading import find_weights_file, read_metadata
from detres.errors import WeightsError
from detres.tables import LOCATORS, SETTINGS


@dataclass(frozen=True)
class OpenedModel:
    """A file's task, its place, and its settings (backbones.weights.model_settings.ModelSettings, the task's)."""

    task: str
    path: Path
    settings: Any

    def tensors(self) -> dict[str, Tensor]:
        """Read from the disk, onto the CPU. Raises WeightsError where they are damaged, or do not fit the settings."""
        return self.settings.read_tensors(self.path)


def open_model(weights: str | Path | OpenedModel, task: str | None = None) -> OpenedModel:
    """A run folder, a checkpoint, a file or a tag, opened; what is open already is handed on.

    task: the one that the caller takes; None: whatever the weights are of.
    Raises WeightsError where there are none, or they are of another task.
    """
    if isinstance(weights, OpenedModel):
        return weights
    task = task or task_of_weights(weights)
    path = LOCATORS[task](weights)
    return OpenedModel(task, path, SETTINGS[task].stated(path))


def open_models(weights: str | Path | Sequence[str | Path], task: str | None = None) -> list[OpenedModel]:
    return [open_model(each, task) for each in ([weights] if isinstance(weights, str | Path) else weights)]


def task_of_weights(weights: str | Path) -> str:
    """What the weights are for, by their tag or by what their file says; detection where it says nothing."""
    publisher, _, name = str(weights).partition("/")
    if publisher in ("torchvision", "timm") and not Path(weights).exists():
        return "classification" if name.partition(".")[0] in BACKBONES else "detection"
    try:
        stated = json.loads(read_metadata(find_weights_file(weights)).get("detres", "{}"))
    except (WeightsError, ValueError):
        return "detection"  # Whoever reads them tells what is wrong.
    task = stated.get("task") if isinstance(stated, dict) else None
    return task if isinstance(task, str) and task in SETTINGS else "detection"
