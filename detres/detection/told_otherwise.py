"""A detector's file, fed and tested otherwise than it says itself, by the keys that eval_det takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from detres.config.loading import Layer, leaves, resolve_by
from detres.config.losses import without_own_losses
from detres.config.schema import Config, TestConfig
from detres.detection.detector_files import PREPROCESSING, DetectorSettings
from detres.detection.handing_back import ONLY_TRAINED_WITH
from detres.errors import ConfigError

# How a detector is trained, by a part of a key; which implementation of RoIAlign runs may be asked for.
_TRAINED_BY = (ONLY_TRAINED_WITH - {"roi_align"}) | {"weights", "frozen_stages", "zero_init_last", "allow_mismatch"}
_ELSEWHERE = {
    "test.batch": "how many images are computed at once is said where they are given (--batch, predict_many)",
    "training.precision": "--precision, or precision=, says it",
}


def told_otherwise(settings: DetectorSettings, layers: Sequence[Layer], where: str) -> DetectorSettings:
    """The settings with what `layers` say laid over them. where: the file, for messages.

    Raises ConfigError for a key or value that detres does not know, and for a key that changes nothing of what is
    detected; WeightsError for another function than the weights were trained in.
    """
    if not layers:
        return settings
    own = {
        "model": without_own_losses(settings.model).model_dump(mode="json"),
        "data": settings.preprocessing.model_dump(mode="json", include=set(PREPROCESSING)),
        "test": settings.test.model_dump(mode="json"),
    }
    config = resolve_by(Config, [Layer(where, own), *layers])
    if problems := list(_idle(layers, config.test)):
        raise ConfigError("\n".join(problems))
    told = settings.with_model(config.model, config.test, where)
    return replace(told, preprocessing=config.data)


def _idle(layers: Sequence[Layer], test: TestConfig) -> Iterator[str]:
    for layer in layers:
        for path in leaves(layer.values):
            key = ".".join(path)
            if why := _why_idle(key, test):
                yield f"{layer.source}: {key} changes nothing here: {why}; leave it out"


def _why_idle(key: str, test: TestConfig) -> str | None:
    """None where a key changes what is detected."""
    group, _, rest = key.partition(".")
    if key in _ELSEWHERE:
        return _ELSEWHERE[key]
    if key == "model.class_names":
        return "the file names its classes itself"
    if group == "data" and rest not in (*PREPROCESSING, "max_pixels"):
        return "it is of a data set, and here are images"
    if group not in ("model", "data", "test") or not _TRAINED_BY.isdisjoint(rest.split(".")):
        return "it is of training"
    if key == "test.refine_nms" and not test.refine:
        return "test.refine is 0"
    if key == "test.fusion" and not (test.flip or len(test.scales) > 1):
        return "it merges scales and mirrors, and there is one of either"
    return None
