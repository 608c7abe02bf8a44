"""What `import detres` promises: each name with its signature and docstring, by autodoc."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import detres
from detres_site.places import ROOT

_GROUPS = {
    "Backbones and classifiers": ("build_backbone", "list_backbones", "build_classifier", "FeatureSpec", "PixelStats"),
    "Configs, training and evaluation": ("load_config", "build_detector", "train", "evaluate"),
    "Trained models": ("Detector", "Classifier", "Detections"),
    "Batches": ("DetectionBatch", "DetectionTarget", "ClassificationBatch"),
    "Being told": ("Logger", "PictureLogger", "RunStart", "Reporter"),
    "Errors": ("UserError", "ConfigError", "DataError", "WeightsError"),
}


def list_names() -> str:
    """A heading a group; names of detres.__all__ that no group has come last."""
    grouped = {name for names in _GROUPS.values() for name in names}
    rest = tuple(name for name in detres.__all__ if name not in grouped and name != "__version__")
    groups = {**_GROUPS, **({"More": rest} if rest else {})}
    return "\n".join(part for title, names in groups.items() for part in (f"## {title}\n", *map(_entry, names)))


def _entry(name: str) -> str:
    found = getattr(detres, name)
    kind = "class" if inspect.isclass(found) else "function"
    if inspect.isclass(found) and issubclass(found, Exception):
        kind = "exception"
    options = "   :members:\n" if kind == "class" else "   :show-inheritance:\n" if kind == "exception" else ""
    file = _file_of(found)
    return f"### {name}\n\n```{{eval-rst}}\n.. auto{kind}:: detres.{name}\n{options}```\n\nIn [{file}]({file}).\n"


def _file_of(found: Any) -> str:
    return Path(inspect.getfile(found)).resolve().relative_to(ROOT).as_posix()
