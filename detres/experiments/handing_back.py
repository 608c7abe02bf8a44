"""Detectors of detres's become files of other projects, which told lines say how to use."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from detres.detection.detector_files import DetectorSettings, read_detector
from detres.detection.detectron2_back import to_detectron2
from detres.detection.handing_back import HandedBack
from detres.detection.torchvision_back import to_torchvision
from detres.errors import WeightsError
from detres.files.whole import whole_path
from detres.training.checkpoints import find_weights_file

Write = Callable[[Mapping[str, Tensor], Path], None]


def _write_state_dict(tensors: Mapping[str, Tensor], path: Path) -> None:
    torch.save(dict(tensors), path)


def _write_checkpoint(tensors: Mapping[str, Tensor], path: Path) -> None:
    torch.save({"model": dict(tensors)}, path)


def _write_zoo_pickle(tensors: Mapping[str, Tensor], path: Path) -> None:
    """detectron2 takes a pickle with an author for one of its zoo's, whose names are its own."""
    content = {"model": {name: tensor.numpy() for name, tensor in tensors.items()}, "__author__": "detres"}
    with path.open("wb") as file:
        pickle.dump(content, file, protocol=4)


@dataclass(frozen=True)
class DetectorTarget:
    """A project that detectors are handed to. write: by the suffix of the file. usage: what the lines to build are."""

    hand_back: Callable[[Mapping[str, Tensor], DetectorSettings], HandedBack]
    write: Mapping[str, Write]
    usage: str


DETECTOR_TARGETS: Mapping[str, DetectorTarget] = {
    "torchvision": DetectorTarget(
        to_torchvision, {".pth": _write_state_dict}, "this Python builds the model; labels count from 1 there"
    ),
    "detectron2": DetectorTarget(
        to_detectron2,
        {".pkl": _write_zoo_pickle, ".pth": _write_checkpoint},
        "this config goes with it; _BASE_ is one of detectron2's configs",
    ),
}


def hand_back(target: str, weights: Path, out: Path, *, approximate: bool = False) -> list[str]:
    """Write the detector of a run, a checkpoint folder or a file for another project; returns what there is to tell.

    approximate: also where that project computes something otherwise, and its detections are others.
    Raises WeightsError where it cannot, or would not without `approximate`; nothing is written then.
    """
    project = DETECTOR_TARGETS[target]
    if out.suffix not in project.write:
        raise WeightsError(f"{out}: --to {target} writes {' or '.join(project.write)}; name the output so")
    file = find_weights_file(weights)
    tensors, settings = read_detector(file)
    try:
        handed = project.hand_back(tensors, settings)
    except WeightsError as error:
        raise WeightsError(f"{file}: {error}") from None
    if handed.otherwise and not approximate:
        raise WeightsError(
            f"{file}: {target} computes otherwise with these weights, and its detections would be others: "
            f"{'; '.join(handed.otherwise)}. --approximate writes them all the same"
        )
    with whole_path(out) as partial:
        project.write[out.suffix](handed.tensors, partial)
    names = ", ".join(settings.model.class_names or ())
    return [
        *(f"otherwise there: {sentence}" for sentence in handed.otherwise),
        f"{file}: {len(handed.tensors)} tensors -> {out}; {project.usage}",
        *(f"  {line.replace('FILE', str(out))}" for line in handed.build),
        f"classes, which are not in the file: {names}",
    ]
