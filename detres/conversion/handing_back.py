"""A detector of detres's for another project: its tensors by their names, and what that project computes otherwise.

What differs is found by comparison: the settings of our model beside those that a file of theirs would be read with. A
key that nobody thought of is therefore told, and not lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from detres.backbones.architectures import BACKBONES, Architecture
from detres.backbones.weights.metadata import WeightsMetadata
from detres.config.detection_schema import DataConfig, ModelConfig, TestConfig
from detres.config.key_effects import only_trained_by
from detres.config.model_keys import lies_in
from detres.detection.files import PREPROCESSING, DetectorSettings
from detres.detection.model.anchors import default_sizes
from detres.detection.model.building import padding_multiple
from detres.errors import WeightsError

# What changes no detection: how it is trained, and which implementation runs.
_NO_MATTER = (*only_trained_by("detection"), "model.roi.roi_align")
# Differences this small move no detection that can be seen.
_NEGLIGIBLE = {"model.roi.level_eps": 1e-5, "model.rpn.min_size": 0.01, "model.roi.min_size": 0.01}


@dataclass(frozen=True)
class HandedBack:
    """tensors: by their names. build: lines that make their model compute with them as ours does, as far as it can;
    FILE stands for the file they are in.

    otherwise: what it still computes otherwise, a sentence each; () where the detections are the same.
    coming_back: what has to be said (key=value) where the file and these lines are read again, for it to be the
    detector it was.
    """

    tensors: Mapping[str, Tensor]
    build: tuple[str, ...]
    otherwise: tuple[str, ...]
    coming_back: tuple[str, ...]


def resnet_settings(settings: DetectorSettings) -> tuple[Architecture, WeightsMetadata]:
    """The ResNet of a detector. Raises WeightsError for any other, for norms without statistics, and with context."""
    if settings.model.global_context:
        raise WeightsError("it reads the global context of each image, which is detres's own")
    known = settings.backbone
    net = BACKBONES.get(known.architecture) if known else None
    if known is None or not isinstance(net, Architecture) or not _is_torchvisions(net):
        raise WeightsError(
            f"its backbone is {settings.model.backbone.name}; ResNets of 18 to 152 layers are handed back"
        )
    if known.shortcut not in (None, net.shortcut):
        raise WeightsError(f"its backbone has shortcuts of kind {known.shortcut}, which nobody else's has")
    if "group" in settings.norms.values():
        raise WeightsError("its backbone has group norm; only batch norm, frozen or not, is handed back")
    return net, known


def _is_torchvisions(net: Architecture) -> bool:
    """Whether it is of the form of which others have networks: no variant of one, no net of CIFAR's, no plain one."""
    return net.network == Architecture.network and net.stem == "imagenet" and net.shortcut != "plain"


def computed_otherwise(
    ours: DetectorSettings,
    backbone: WeightsMetadata,
    model: ModelConfig,
    preprocessing: DataConfig,
    test: TestConfig,
    *,
    carried: frozenset[str],
) -> tuple[str, ...]:
    """Sentences on what the other project does otherwise with the same weights.

    backbone, model, preprocessing, test: what it does. carried: keys for which `build` has a line.
    """
    known = ours.backbone or backbone
    here = _flat(known, ours.model, ours.preprocessing, ours.test)
    there = _flat(backbone, model, preprocessing, test)
    return tuple(
        f"{key} is {value} here, {there[key]} there"
        for key, value in here.items()
        if key not in carried and not _same(key, value, there[key])
    )


def _same(key: str, value: Any, other: Any) -> bool:
    return value == other or (key in _NEGLIGIBLE and abs(value - other) <= _NEGLIGIBLE[key])


def _flat(backbone: WeightsMetadata, model: ModelConfig, data: DataConfig, test: TestConfig) -> dict[str, Any]:
    """Every key that decides detections, with what an open one stands for."""
    levels = 5 if model.layout == "fpn" else 1
    sizes = model.anchors.sizes or default_sizes(levels)
    values = model.model_dump(exclude={"class_names", "backbone"})
    values["anchors"]["sizes"] = sizes
    if len(sizes[0]) == 1:
        values["anchors"]["order"] = "size"  # With one size a level, either order is the other.
    values["roi"]["pool"] = model.roi.pool or (14 if model.layout == "c4" else 7)
    values["pad_to"] = padding_multiple(model)
    values["backbone"] = {
        "output_stride": model.output_stride,
        **{key: v for key, v in asdict(backbone).items() if key in ("pixel_stats", "stride_in", "pool", "norm_eps")},
    }
    flat = dict(_leaves("model", values))
    flat |= _leaves("data", data.model_dump(include=set(PREPROCESSING)))
    flat |= _leaves("test", test.model_dump(exclude={"batch"}))
    return {key: value for key, value in flat.items() if not any(lies_in(key, each) for each in _NO_MATTER)}


def _leaves(place: str, values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _leaves(f"{place}.{key}", value) if isinstance(value, Mapping) else {f"{place}.{key}": value}
    return flat
