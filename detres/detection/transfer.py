"""Start a detector from another one's weights, on other classes: rows of the predictors are matched by class name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from detres.detection.detector_files import read_detector
from detres.detection.faster_rcnn import FasterRCNN
from detres.errors import WeightsError

_LOGITS = ("roi.class_logits.weight", "roi.class_logits.bias")
_DELTAS = ("roi.deltas.weight", "roi.deltas.bias")


@dataclass(frozen=True)
class Transferred:
    """source: the file. loaded: how many tensors were taken whole. matched, new, unused: names of classes."""

    source: str
    loaded: int
    matched: tuple[str, ...]
    new: tuple[str, ...]
    unused: tuple[str, ...]

    def lines(self) -> list[str]:
        """A table of what became of each class, for people."""
        rows = (("from the file, by name", self.matched), ("start anew", self.new), ("only in the file", self.unused))
        return [
            f"weights {self.source}: {self.loaded} tensors taken",
            *(f"  classes {what}: {len(names)} {', '.join(names[:20])}" for what, names in rows if names),
        ]


def transfer_detector(model: FasterRCNN, path: Path) -> Transferred:
    """Copy every tensor of the file into the model, in place; class rows by name, the background's as it is.

    Raises WeightsError where anything but the classes differs between the two models.
    """
    tensors, settings = read_detector(path)
    theirs, ours = settings.model.class_names or (), model.class_names
    place = {name: row for row, name in enumerate(theirs)}
    rows = {row: place[name] for row, name in enumerate(ours) if name in place}
    state = model.state_dict()
    with torch.no_grad():
        for name in _LOGITS:
            tensors[name] = _by_class(state[name], tensors[name], {**rows, len(ours): len(theirs)}, width=1)
        for name in _DELTAS:
            per_class = len(tensors[name]) == 4 * len(theirs) and len(state[name]) == 4 * len(ours)
            if per_class and not settings.model.roi.class_agnostic:
                tensors[name] = _by_class(state[name], tensors[name], rows, width=4)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        shown = " ".join(line.strip() for line in str(error).splitlines()[1:4])
        raise WeightsError(
            f"{path}: its model differs in more than its classes: {shown}. Leave the model to the file (no --cfg of "
            "another layout), or drop --weights"
        ) from None
    return Transferred(
        str(path),
        len(tensors) - len(_LOGITS) - len(_DELTAS),
        tuple(name for name in ours if name in place),
        tuple(name for name in ours if name not in place),
        tuple(name for name in theirs if name not in ours),
    )


def _by_class(mine: Tensor, other: Tensor, rows: dict[int, int], *, width: int) -> Tensor:
    """mine, with groups of `width` rows taken from `other` where `rows` says so (mine: other's).

    Where the two take other features, `other` itself, which will be refused with all else that differs.
    """
    if mine.shape[1:] != other.shape[1:]:
        return other
    result = mine.clone()
    for to, source in rows.items():
        result[to * width : (to + 1) * width] = other[source * width : (source + 1) * width]
    return result
