"""What the model of --weights says to a config."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from detres.classification.classifier_files import ClassifierSettings
from detres.classification.published import locate_classifier
from detres.config.loading import Layer
from detres.detection.detector_files import DetectorSettings, check_code
from detres.detection.published import locate_detector
from detres.localization.localizer_files import LocalizerSettings, locate_localizer

# Of a classifier's or localizer's model, how it is trained; the rest is what it is.
_TRAINED_BY = {"drop_path", "checkpoint_blocks"}


def model_layer(
    weights: str | Path, task: Literal["detection", "classification", "localization"], own_code: str | None = None
) -> tuple[Path, Layer]:
    """The file, and the model it decides, to be laid over a config; class names stay the data's.

    own_code: a backbone that the user names, and the file may. Raises WeightsError where it names another.
    """
    if task == "detection":
        path = locate_detector(weights)
        settings = DetectorSettings.stated(path)
        check_code(settings, str(path), own_code)
        model, left_out = settings.model, {"class_names"}
        if not model.global_context:  # What a detector may gain is the config's to say.
            left_out.add("global_context")
    elif task == "localization":
        path = locate_localizer(weights)
        model, left_out = LocalizerSettings.stated(path).model, {"class_names", *_TRAINED_BY}
    else:
        path = locate_classifier(weights)
        model, left_out = ClassifierSettings.stated(path).model, {"class_names", *_TRAINED_BY}
    return path, Layer(str(path), {"model": model.model_dump(mode="json", exclude=left_out)})
