"""Whether what a config names as a split is there at all: exports name a test split that was never downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detres.config.schema import DataConfig
from detres.data.datasets import find_root
from detres.data.voc import year_folder
from detres.errors import DataError


def absent_names(data: DataConfig, names: Sequence[str], base: Path | None = None) -> list[str]:
    """Those of the names of a split for which there is no file or folder; whether it can be read is not asked.

    Raises DataError where the root is not there.
    """
    root = find_root(data, base)
    return [name for name in names if not _is_there(data.format, root, name)]


def _is_there(data_format: str, root: Path, name: str) -> bool:
    match data_format:
        case "coco":
            file, _, folder = name.partition(".json:")
            return (root / (f"{file}.json" if folder else name)).is_file()
        case "voc":
            try:
                folder, listed = year_folder(root, name)
            except DataError:
                return False
            return (folder / "ImageSets" / "Main" / f"{listed}.txt").is_file()
        case "yolo":
            return ((root.parent if root.suffix in (".yaml", ".yml") else root) / name).exists()
        case _:
            return True
