"""A detector's file, fed and tested otherwise than it says itself, by the keys that eval_det takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from detres.config.detection_schema import Config
from detres.config.key_effects import in_evaluation
from detres.config.loading import Layer, resolve_by
from detres.config.losses import without_own_losses
from detres.detection.files import PREPROCESSING, DetectorSettings

_in_evaluation = in_evaluation("detection")
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
    said = [replace(layer, origin="command") for layer in layers]
    config = resolve_by(Config, [Layer(where, own), *said], use=_on_images)
    told = settings.with_model(config.model, config.test, where)
    return replace(told, preprocessing=config.data)


def _on_images(key: str) -> str | None:
    """Why a key changes nothing of what is detected; None where it may."""
    group, _, rest = key.partition(".")
    if key in _ELSEWHERE:
        return _ELSEWHERE[key]
    if key == "model.class_names":
        return "the file names its classes itself"
    if group == "data" and rest not in (*PREPROCESSING, "max_pixels"):
        return "it is of a data set, and here are images"
    if group not in ("model", "data", "test"):
        return "it is of training"
    return _in_evaluation(key)
