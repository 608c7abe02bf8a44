"""Whether what a config names as a split is there at all: exports name a test split that was never downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from detres.config.detection_schema import DataConfig
from detres.data.formats.format import find_format, find_root
from detres.tables import DETECTION_FORMATS


def absent_names(data: DataConfig, names: Sequence[str], base: Path | None = None) -> list[str]:
    """Those of the names of a split for which there is no file or folder; whether it can be read is not asked.

    Raises DataError where the root is not there.
    """
    root = find_root(DETECTION_FORMATS, data, base)
    return find_format(DETECTION_FORMATS, data.format).absent(root, names)
