"""What a run lays over the config of another that begins with it."""

from __future__ import annotations

from pathlib import Path

from detres.classification.hand_off import BACKBONE_FILE
from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import AnyConfig, Layer
from detres.config.localization_schema import LocalizationConfig


def layer_of_beginning(recipe: AnyConfig, beginning: AnyConfig, folder: Path, *, smoke: bool) -> Layer:
    """recipe: of what is trained. beginning: the config of what it begins with, whose run is in this folder.

    A detector begins with the weights of a detector; a localizer with a classifier's trunk, and with the proposals of
    an RPN that began with the same.
    """
    if not isinstance(recipe, LocalizationConfig):
        return Layer(str(folder), {"model": _model_of(beginning)})
    if not isinstance(beginning, ClassificationConfig):
        trunk = {"model": {"backbone": {"weights": beginning.model.backbone.weights}}}
        return Layer(str(folder), trunk | {"data": {"proposals": str(folder)}})
    # In a smoke run, a net that is no trunk of a localizer stands in for the classifier.
    weights = None if smoke else str(folder / BACKBONE_FILE)
    return Layer(str(folder), {"model": {"backbone": {"weights": weights}}})


def _model_of(beginning: AnyConfig) -> dict[str, object]:
    """What train_det --weights lays over a config: the weights' model, which may gain global context."""
    model = beginning.model
    left_out = {"class_names"} | (set() if model.global_context else {"global_context"})
    values = model.model_dump(mode="json", exclude=left_out)
    values["backbone"]["weights"] = None
    return values
