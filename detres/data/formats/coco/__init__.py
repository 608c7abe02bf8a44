"""Sets in the format of COCO: what they are, and how COCO's own are come by."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from detres.data.classes import COCO_CLASSES
from detres.data.formats.format import Format

GET_COCO = "`detres prepare coco` (coco_2014 for 2014) says which files to download and unpacks them"

_OFFICIAL = re.compile(r"(instances|image_info)_[a-z-]+(20\d\d|35k)")


def how_to_get(file_name: str) -> str:
    """Where COCO's own files come from, to end a message with; nothing for a file of one's own."""
    name = Path(file_name.partition(".json:")[0]).name.removesuffix(".json")
    return f". {GET_COCO}" if _OFFICIAL.fullmatch(name) else ""


def _has_split(root: Path, split: str) -> bool:
    file, _, folder = split.partition(".json:")
    return (root / (f"{file}.json" if folder else split)).is_file()


def _mend_of(splits: Sequence[str]) -> str | None:
    """Where a set of one's own is not found, COCO is no mend."""
    return GET_COCO if any(map(how_to_get, splits)) else None


COCO = Format(
    "detres.data.formats.coco.reading:load_coco",
    _mend_of,
    lambda: COCO_CLASSES,
    has_split=_has_split,
    layout="an instances JSON lies with its images beside it, in images/ or in a folder of the JSON's ending",
    recognize="detres.data.formats.coco.folder:recognize_coco",
    known_by="instances files: JSON with images, annotations and categories, in the folder or in one right below it",
)
