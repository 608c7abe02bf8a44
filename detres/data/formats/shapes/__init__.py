"""The embedded sets of drawn shapes, which every machine makes for itself: one for each task."""

from __future__ import annotations

from detres.data.formats.format import Format

SHAPES = ("circle", "cross", "ring", "square", "star", "triangle")  # sorted, as VOC's reader sorts them


def _of(task: str, load: str, made_in: str) -> Format:
    place = f"detres.data.formats.shapes.{task}:{load}"
    return Format(place, class_names=lambda: SHAPES, made_in=made_in, has_ignored=False)


SHAPES_DETECTION = _of("detection", "load_shapes", "shapes")
SHAPES_CLASSES = _of("classification", "load_shapes_classes", "shapes_classes")
SHAPES_LOCALIZED = _of("localization", "load_shapes_localized", "shapes_localized")
