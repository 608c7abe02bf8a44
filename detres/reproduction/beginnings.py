"""What a run lays over the config of another that begins with it."""

from __future__ import annotations

from pathlib import Path

from detres.classification.hand_off import BACKBONE_FILE
from detres.config.classification_schema import ClassificationConfig
from detres.config.finding import find_config
from detres.config.loading import AnyConfig, Layer, read_layer
from detres.config.localization_schema import LocalizationConfig
from detres.tasks.runs.weights import laid_over


def layer_of_beginning(stem: str, recipe: AnyConfig, beginning: AnyConfig, folder: Path, *, smoke: bool) -> Layer:
    """stem, recipe: of what is trained. beginning: the config of what it begins with, whose run is in this folder.

    A detector begins with the weights of a detector; a localizer with a classifier's trunk, and with the proposals of
    an RPN that began with the same.
    """
    if not isinstance(recipe, LocalizationConfig):
        # As train_det --weights has it; what the beginning's backbone began with is in its weights.
        model = beginning.model.model_dump(mode="json")
        model["backbone"]["weights"] = None
        return Layer(str(folder), laid_over(recipe.task, model, read_layer(find_config(stem))))
    if not isinstance(beginning, ClassificationConfig):
        trunk = {"model": {"backbone": {"weights": beginning.model.backbone.weights}}}
        return Layer(str(folder), trunk | {"data": {"proposals": str(folder)}})
    # In a smoke run, a net that is no trunk of a localizer stands in for the classifier.
    weights = None if smoke else str(folder / BACKBONE_FILE)
    return Layer(str(folder), {"model": {"backbone": {"weights": weights}}})
