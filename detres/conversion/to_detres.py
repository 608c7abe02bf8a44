"""Weights of other projects become detres's safetensors.

A detector becomes a detector, a classification network a classifier, or a backbone where its last layer is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detres.backbones.architectures import ShortcutPadding, StrideIn
from detres.config.loading import read_override
from detres.conversion.converted import ConvertedDetector, Stated, write_converted
from detres.conversion.detectron2.reading import read_detectron2
from detres.conversion.keys import asked
from detres.conversion.mmdetection.reading import read_mmdetection
from detres.conversion.networks import convert_network, refuse
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


@dataclass(frozen=True)
class Options:
    """What a user says of a file that does not say it; None: not said.

    classes: a file of names, one a line. config: a file of the other project's.
    """

    bn_eps: float | None = None
    classes: Path | None = None
    architecture: str | None = None
    stride_in: StrideIn | None = None
    config: Path | None = None
    shortcut_padding: ShortcutPadding | None = None

    def given(self) -> set[str]:
        """As they are written on the command line."""
        return {f"--{name.replace('_', '-')}" for name, value in vars(self).items() if value is not None}

    def stated(self, classes: Sequence[str] | None = None, overrides: Sequence[str] = ()) -> Stated:
        """With what key=value says. classes: those of the file.

        Raises ConfigError where an option and a key say the same thing twice.
        """
        layers = tuple(read_override(text) for text in overrides)
        said: dict[str, Any] = {"bn_eps": self.bn_eps, "classes": classes, "stride_in": self.stride_in}
        for name, (key, kind) in _SAME.items():
            value = asked(layers, key)
            if value is None:
                continue
            if said[name] is not None:
                raise ConfigError(f"--{name.replace('_', '-')} and {key} say the same thing; give one of them")
            # What is of another kind is refused with the rest of the keys.
            said[name] = value if isinstance(value, kind) else None
        return Stated(said["bn_eps"], said["classes"], said["stride_in"], self.config, layers)


# Options that are keys by another name, and what those hold.
_SAME: Mapping[str, tuple[str, type | tuple[type, ...]]] = {
    "bn_eps": ("model.backbone.norm_eps", (int, float)),
    "classes": ("model.class_names", list),
    "stride_in": ("model.backbone.stride_in", str),
}


def convert(
    source: str, path: Path, out: Path, options: Options = Options(), overrides: Sequence[str] = ()
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
