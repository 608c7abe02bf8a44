"""Start a detector from another one's weights, on other classes: rows of the predictors are matched by class name."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from detres.backbones.weights.class_rows import Transferred, matching_rows, rows_by_class
from detres.detection.files import DetectorSettings
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.errors import WeightsError

_LOGITS = ("roi.class_logits.weight", "roi.class_logits.bias")
_DELTAS = ("roi.deltas.weight", "roi.deltas.bias")
# Read the features of the region, and behind them those of the whole image where there is global context.
_READERS = ("roi.class_logits.weight", "roi.deltas.weight")


def transfer_detector(
    model: FasterRCNN, tensors: Mapping[str, Tensor], settings: DetectorSettings, where: str
) -> Transferred:
    """Copy every tensor of a file into the model, in place; class rows by name, the background's as it is.

    tensors, settings: of the file, as DetectorSettings.read gives them; where: names it.
    Where the model has global context and the file has not, what reads the context starts at zero.
    Raises WeightsError where anything but the classes differs between the two models.
    """
    tensors = dict(tensors)
    theirs, ours = settings.model.class_names or (), model.class_names
    rows = matching_rows(ours, theirs)
    state = model.state_dict()
    with torch.no_grad():
        if model.roi.global_context and not settings.model.global_context:
            for name in _READERS:
                tensors[name] = torch.cat([tensors[name], torch.zeros_like(tensors[name])], dim=1)
        for name in _LOGITS:
            tensors[name] = rows_by_class(state[name], tensors[name], {**rows, len(ours): len(theirs)})
        for name in _DELTAS:
            per_class = len(tensors[name]) == 4 * len(theirs) and len(state[name]) == 4 * len(ours)
            if per_class and not settings.model.roi.class_agnostic:
                tensors[name] = rows_by_class(state[name], tensors[name], rows, width=4)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        shown = " ".join(line.strip() for line in str(error).splitlines()[1:4])
        raise WeightsError(
            f"{where}: its model differs in more than its classes: {shown}. Leave the model to the file (no --cfg of "
            "another layout), or drop --weights"
        ) from None
    return Transferred.of_classes(where, len(tensors) - len(_LOGITS) - len(_DELTAS), ours, theirs)
