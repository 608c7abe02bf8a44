"""A set, in the form of a format, in a folder of its own: whole, or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from detres.data.formats.format import find_format
from detres.data.writing.pictures import Splits
from detres.errors import ConfigError, DataError
from detres.files.whole import told_of_disk
from detres.tables import DETECTION_FORMATS


def writable_formats() -> list[str]:
    """The formats that a set can be written in."""
    return [name for name in DETECTION_FORMATS if DETECTION_FORMATS[name].write is not None]


def write_set(splits: Splits, folder: Path, form: str, *, link: bool = False) -> list[str]:
    """Write the splits, and a data.yaml for --data, to a new folder; what could not be said in this form, for people.

    link: pictures are links to where they lie, else copies.
    Raises ConfigError where there is no such form, DataError where the folder holds something, UserError where it
    cannot be written; then nothing is left there.
    """
    if form not in writable_formats():
        raise ConfigError(f"--to {form}: expected one of {', '.join(writable_formats())}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: it is there already; name a new folder")
    if not any(len(images) for images in splits.values()):
        raise DataError("the set has no image, so that there is nothing to write")
    with told_of_disk(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
        try:
            lost = find_format(DETECTION_FORMATS, form).written(splits, partial, link=link)
            partial.chmod(0o755)  # mkdtemp's folders are private to their maker
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return lost
