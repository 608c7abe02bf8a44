"""Weights of other projects become detres's safetensors.

A detector becomes a detector, a classification network a classifier, or a backbone where its last layer is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from detres.config.loading import read_override
from detres.conversion.converted import ConvertedDetector, Stated, write_converted
from detres.conversion.detectron2.reading import read_detectron2
from detres.conversion.mmdetection.reading import read_mmdetection
from detres.conversion.networks import convert_network, refuse
from detres.conversion.options import NOTHING_SAID, Options
from detres.conversion.torchvision.reading import read_torchvision
from detres.errors import ConfigError, WeightsError
from detres.files.text import read_lines


@dataclass(frozen=True)
class DetectorSource:
    """A project whose detectors are read.

    read: the detector in a file, None where it holds a backbone. options: what a user may state of its files.
    """

    read: Callable[[Path, Stated], ConvertedDetector | None]
    options: frozenset[str]


DETECTOR_SOURCES: Mapping[str, DetectorSource] = {
    "torchvision": DetectorSource(read_torchvision, frozenset({"--bn-eps", "--classes"})),
    "detectron2": DetectorSource(read_detectron2, frozenset({"--stride-in", "--classes", "--config"})),
    "mmdetection": DetectorSource(read_mmdetection, frozenset({"--bn-eps", "--stride-in", "--classes", "--config"})),
}
BACKBONE_SOURCES = ("torchvision", "timm", "msra")
SOURCES = tuple(dict.fromkeys((*BACKBONE_SOURCES, *DETECTOR_SOURCES)))


def convert(
    source: str, path: Path, out: Path, options: Options = NOTHING_SAID, overrides: Sequence[str] = ()
) -> list[str]:
    """Write `out`; returns what there is to tell. overrides: key=value, of a detector.

    Raises WeightsError where the file is not what it is said to be, ConfigError for what is said wrongly.
    """
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out}: detres writes safetensors; name the output something.safetensors")
    names = _class_names(options.classes) if options.classes else None  # once: it may be a pipe
    if source in DETECTOR_SOURCES:
        detector = DETECTOR_SOURCES[source].read(path, options.stated(names, overrides))
        if detector is not None:
            refuse(options.given() - DETECTOR_SOURCES[source].options, f"a detector from {source}")
            return _convert_detector(detector, path, out)
    for text in overrides:
        read_override(text)
        raise ConfigError(f"{text}: keys are of detectors, and {path} is none of {source}'s; leave it out")
    return convert_network(source, path, out, options, names)


def _class_names(file: Path) -> list[str]:
    if not file.exists() or file.is_dir():  # a pipe will do
        raise WeightsError(f"--classes {file}: no such file; it holds one class name a line")
    return read_lines(file)


def _convert_detector(detector: ConvertedDetector, path: Path, out: Path) -> list[str]:
    model = write_converted(detector, out, str(path))
    count = len(detector.tensors)
    return [*detector.told, f"{path}: a detector of {len(model.class_names)} classes, {count} tensors -> {out}"]
