"""Weights of other projects become detres's safetensors.

A detector becomes a detector, a classification network a backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from detres.backbones import build_backbone
from detres.backbones.architectures import StrideIn
from detres.backbones.metadata import WeightsMetadata
from detres.backbones.weight_files import read_weights, write_weights
from detres.data.text import read_text
from detres.detection.converted import ConvertedDetector, Stated, write_converted
from detres.detection.detectron2_weights import read_detectron2
from detres.detection.mmdetection_weights import read_mmdetection
from detres.detection.torchvision_weights import read_torchvision
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS


@dataclass(frozen=True)
class DetectorSource:
    """A project whose detectors are read.

    read: the detector in a file, None where it holds a backbone. options: what a user may state of its files.
    """

    read: Callable[[Path, Stated], ConvertedDetector | None]
    options: frozenset[str]


DETECTOR_SOURCES: Mapping[str, DetectorSource] = {
    "torchvision": DetectorSource(read_torchvision, frozenset({"--bn-eps", "--classes"})),
    "detectron2": DetectorSource(read_detectron2, frozenset({"--stride-in", "--classes"})),
    "mmdetection": DetectorSource(read_mmdetection, frozenset({"--bn-eps", "--stride-in", "--classes"})),
}
BACKBONE_SOURCES = ("torchvision", "timm", "msra")
SOURCES = tuple(dict.fromkeys((*BACKBONE_SOURCES, *DETECTOR_SOURCES)))


@dataclass(frozen=True)
class Options:
    """What a user says of a file that does not say it; None: not said. classes: a file of names, one a line."""

    bn_eps: float | None = None
    classes: Path | None = None
    architecture: str | None = None
    stride_in: StrideIn | None = None

    def given(self) -> set[str]:
        """As they are written on the command line."""
        return {f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value is not None}

    def stated(self) -> Stated:
        return Stated(self.bn_eps, _class_names(self.classes) if self.classes else None, self.stride_in)


def convert(source: str, path: Path, out: Path, options: Options = Options()) -> list[str]:
    """Write `out`; returns what there is to tell. Raises WeightsError where the file is not what it is said to be."""
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out}: detres writes safetensors; name the output something.safetensors")
    if source in DETECTOR_SOURCES:
        detector = DETECTOR_SOURCES[source].read(path, options.stated())
        if detector is not None:
            _refuse(options.given() - DETECTOR_SOURCES[source].options, f"a detector from {source}")
            return _convert_detector(detector, path, out)
    return _convert_backbone(source, path, out, options)


def _refuse(options: set[str], what: str) -> None:
    """An option that would do nothing is a misunderstanding."""
    if options:
        raise WeightsError(f"{', '.join(sorted(options))}: of no use with {what}; leave it out")


def _class_names(file: Path) -> list[str]:
    if not file.exists() or file.is_dir():  # a pipe will do
        raise WeightsError(f"--classes {file}: no such file; it holds one class name a line")
    return [line.strip() for line in read_text(file).splitlines() if line.strip()]


def _convert_detector(detector: ConvertedDetector, path: Path, out: Path) -> list[str]:
    model = write_converted(detector, out, str(path))
    count = len(detector.tensors)
    return [*detector.told, f"{path}: a detector of {len(model.class_names)} classes, {count} tensors -> {out}"]


def _convert_backbone(source: str, path: Path, out: Path, options: Options) -> list[str]:
    architecture = options.architecture
    if (source == "msra") != (path.suffix == ".pkl"):
        raise WeightsError(f"--from {source} {path}: of backbones, the MSRA weights are .pkl files, and nobody else's")
    if source == "msra":
        _refuse(options.given(), "a backbone from msra")
    elif architecture is None:
        _refuse(options.given(), f"a backbone from {source} that says what it is")
    else:
        _refuse(options.given() - {"--architecture", "--bn-eps"}, f"a backbone from {source}")
    if source == "timm" and architecture is not None and not architecture.startswith("timm/"):
        raise WeightsError(f"--architecture {architecture}: pixel statistics differ; say which of timm's: timm/NAME")
    metadata = None
    if architecture is not None:
        eps = 1e-5 if options.bn_eps is None else options.bn_eps
        stats = build_backbone(architecture).pixel_stats if source == "timm" else IMAGENET_STATS
        metadata = WeightsMetadata(architecture, stats, norm_eps=eps, recipe=f"{source} {path.name}")
    file = read_weights(path, metadata=metadata)
    write_weights(out, file.tensors, file.metadata)
    known = file.metadata
    return [
        f"{path}: {known.architecture}{known.form()}, {known.pixel_stats.order} pixels, {len(file.tensors)} tensors "
        f"-> {out}"
    ]
