"""Start a classifier from another one's weights, on other classes: rows of the last layer are matched by class name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from detres.backbones.weights.class_rows import Transferred, matching_rows, rows_by_class
from detres.backbones.weights.model_settings import load_strictly
from detres.classification.classifier import Classifier
from detres.classification.files import ClassifierSettings


def transfer_classifier(
    model: Classifier,
    class_names: Sequence[str],
    tensors: Mapping[str, Tensor],
    settings: ClassifierSettings,
    where: str,
) -> Transferred:
    """Copy every tensor of a classifier's file into the model, in place; rows of the last layer by name.

    class_names: of the model, as many as it tells apart. tensors, settings: of the file, as ClassifierSettings.read
    gives them; where: names it. Raises WeightsError where anything but the classes differs.
    """
    tensors = dict(tensors)
    rows = matching_rows(class_names, settings.class_names)
    state, last = model.state_dict(), tuple(f"{model.class_layer}.{part}" for part in ("weight", "bias"))
    with torch.no_grad():
        tensors |= {name: rows_by_class(state[name], tensors[name], rows) for name in last if name in tensors}
    load_strictly(model, tensors, where, f"{model.name} with {model.num_classes} classes")
    return Transferred.of_classes(where, len(tensors) - len(last), class_names, settings.class_names)
