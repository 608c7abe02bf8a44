"""Detectors of detres's become files of other projects, which told lines say how to use."""

from __future__ import annotations

import pickle
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from detres.checkpoints.reading import find_weights_file
from detres.conversion.detectron2.reading import SAID_KEY
from detres.conversion.detectron2.writing import to_detectron2
from detres.conversion.handing_back import HandedBack
from detres.conversion.torchvision.writing import to_torchvision
from detres.detection.files import DetectorSettings
from detres.errors import ConfigError, WeightsError
from detres.files.whole import whole_file, write_whole

Write = Callable[[HandedBack, BinaryIO], None]


def _write_state_dict(handed: HandedBack, stream: BinaryIO) -> None:
    torch.save(dict(handed.tensors), stream)


def _write_checkpoint(handed: HandedBack, stream: BinaryIO) -> None:
    torch.save({"model": dict(handed.tensors), SAID_KEY: list(handed.coming_back)}, stream)


def _write_zoo_pickle(handed: HandedBack, stream: BinaryIO) -> None:
    """detectron2 takes a pickle with an author for one of its zoo's, whose names are its own."""
    model = {name: tensor.numpy() for name, tensor in handed.tensors.items()}
    pickle.dump({"model": model, "__author__": "detres", SAID_KEY: list(handed.coming_back)}, stream, protocol=4)


@dataclass(frozen=True)
class DetectorTarget:
    """A project that detectors are handed to.

    write: by the suffix of the file. usage: what the lines to build are. has_config: whether they are a config, which
    is left beside the file.
    """

    hand_back: Callable[[Mapping[str, Tensor], DetectorSettings], HandedBack]
    write: Mapping[str, Write]
    usage: str
    has_config: bool = False


DETECTOR_TARGETS: Mapping[str, DetectorTarget] = {
    "torchvision": DetectorTarget(
        to_torchvision, {".pth": _write_state_dict}, "this Python builds the model; labels count from 1 there"
    ),
    "detectron2": DetectorTarget(
        to_detectron2,
        {".pkl": _write_zoo_pickle, ".pth": _write_checkpoint},
        "this config goes with it",
        has_config=True,
    ),
}

_MARK = "# detectron2's config of {name}, written by detres with it; --from detectron2 reads it again."


def hand_back(target: str, weights: Path, out: Path, *, approximate: bool = False) -> list[str]:
    """Write the detector of a run, a checkpoint folder or a file for another project; returns what there is to tell.

    approximate: also where that project computes something otherwise, and its detections are others.
    Raises WeightsError where it cannot, or would not without `approximate`, ConfigError where its config would replace
    a file of the user's; nothing is written then.
    """
    project = DETECTOR_TARGETS[target]
    if out.suffix not in project.write:
        raise WeightsError(f"{out}: --to {target} writes {' or '.join(project.write)}; name the output so")
    file = find_weights_file(weights)
    tensors, settings = DetectorSettings.read(file)
    try:
        handed = project.hand_back(tensors, settings)
    except WeightsError as error:
        raise WeightsError(f"{file}: {error}") from None
    if handed.otherwise and not approximate:
        raise WeightsError(
            f"{file}: {target} computes otherwise with these weights, and its detections would be others: "
            f"{'; '.join(handed.otherwise)}. --approximate writes them all the same"
        )
    build = [line.replace("FILE", str(out)) for line in handed.build]
    config = _write_config(out, build) if project.has_config else None
    with whole_file(out) as stream:
        project.write[out.suffix](handed, stream)
    return [
        *(f"otherwise there: {sentence}" for sentence in handed.otherwise),
        f"{file}: {len(handed.tensors)} tensors -> {out}; {project.usage}" + (f": {config}" if config else ""),
        *(f"  {line}" for line in build),
        f"classes: {', '.join(settings.model.class_names or ())}",
        *_on_the_way_back(target, out, handed, has_config=project.has_config),
    ]


def _write_config(out: Path, lines: Sequence[str]) -> Path:
    """The config beside the file, under its name. Raises ConfigError where another file of the user's is called so."""
    config, mark = out.with_suffix(".yaml"), _MARK.format(name=out.name)
    if config.exists():
        with config.open("rb") as stream:
            first = stream.readline(1000).decode(errors="replace").strip()
        if not re.fullmatch(re.escape(_MARK).replace(re.escape("{name}"), ".*"), first):
            raise ConfigError(
                f"{config}: is there, and was not written by this command, which leaves the config of {out.name} under "
                "this name; name the output otherwise, or move the file"
            )
    return write_whole(config, "\n".join([mark, *lines, ""]))


def _on_the_way_back(target: str, out: Path, handed: HandedBack, *, has_config: bool) -> list[str]:
    """What is not in the file, and how a conversion back is told it."""
    if not handed.coming_back:
        return []
    if has_config:
        return [
            f"what {target} has no key for lies in {out.name} and is read from there on the way back: "
            f"{' '.join(handed.coming_back)}"
        ]
    command = ["detres", "convert_weights", "--from", target, str(out), f"{out.stem}.safetensors", *handed.coming_back]
    return ["what it does not hold is said on the way back:", f"  {shlex.join(command)}"]
