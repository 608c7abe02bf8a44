"""classes.txt: the names of a YOLO set's classes, a line each, where no data.yaml has them."""

from __future__ import annotations

import os
from pathlib import Path

# labelImg writes it beside the labels, Label Studio above them.
_FOLDERS = (".", "labels", "train", "train/labels", "labels/train", "images")


def class_lists(root: Path) -> list[Path]:
    """Where it is looked for, first to last."""
    return [root / folder / "classes.txt" for folder in _FOLDERS]


def find_class_list(root: Path) -> Path | None:
    return next((file for file in class_lists(root) if os.path.isfile(file)), None)
