"""Sets in the format of YOLO: a text file of boxes beside each image."""

from __future__ import annotations

from pathlib import Path

from detres.data.formats.format import Format


def _has_split(root: Path, split: str) -> bool:
    return ((root.parent if root.suffix in (".yaml", ".yml") else root) / split).exists()


YOLO = Format(
    "detres.data.formats.yolo.reading:load_yolo",
    has_split=_has_split,
    has_ignored=False,
    layout="images/, labels/ and a data.yaml or a classes.txt lie",
    recognize="detres.data.formats.yolo.recognition:recognize_yolo",
    known_by="text files of labels beside images, or in labels/ beside images/, and a classes.txt",
)
