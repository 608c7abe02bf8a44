"""What the model of --weights says to a config."""

from __future__ import annotations

from pathlib import Path

from detres.config.loading import Layer
from detres.detection.detector_files import read_detector
from detres.detection.published import locate_detector


def model_layer(weights: str | Path) -> tuple[Path, Layer]:
    """The file, and the model it decides, to be laid over a config; class names stay the data's."""
    path = locate_detector(weights)
    _, settings = read_detector(path)
    return path, Layer(str(path), {"model": settings.model.model_dump(mode="json", exclude={"class_names"})})
