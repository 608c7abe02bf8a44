"""A detector that begins with another's weights, or with those of its own run's checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detres.config.detection_schema import Config
from detres.detection.files import DetectorSettings
from detres.detection.model.building import learn_by
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.transfer import transfer_detector
from detres.reporter import SILENT, Reporter
from detres.tables import DETECTION_FORMATS
from detres.tasks.runs.assembly import seeded
from detres.tasks.runs.class_names import agreed_class_names
from detres.tasks.runs.opened_model import OpenedModel, open_model


def detector_from_weights(
    config: Config, class_names: Sequence[str], weights: str | Path | OpenedModel, reporter: Reporter = SILENT
) -> FasterRCNN:
    """A detector of the weights' model, with other classes: their rows are matched by name, the rest start anew.

    With global context where the config has it, and the weights need not.
    """
    opened = open_model(weights, "detection")
    path, tensors, theirs = opened.path, opened.tensors(), opened.settings
    settings = theirs
    if config.model.global_context and not theirs.model.global_context:
        reporter.say(
            f"{path}: trained without global context, whose columns start at zero: it begins as the same detector"
        )
        settings = theirs.gaining_context()
    named = config.model.model_copy(update={"class_names": agreed_class_names(config, class_names, DETECTION_FORMATS)})
    with seeded(config):
        # Whoever laid the file's model over the config has asked whose word its code is (tasks/runs/weights.py).
        own_code, changed = config.model.backbone.name, settings.with_model(named, config.test, str(path))
        model = changed.build(str(path), own_code=own_code)
    learn_by(model, config.model)
    for line in transfer_detector(model, tensors, theirs, str(path)).lines():
        reporter.say(line)
    return model


def detector_of_checkpoint(config: Config, file: Path) -> FasterRCNN:
    """The model a checkpoint describes, weights not loaded yet; what it was begun from need not be there any more."""
    model = DetectorSettings.read(file)[1].build(str(file), own_code=config.model.backbone.name)
    learn_by(model, config.model)
    return model
