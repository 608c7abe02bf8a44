"""--data ARCHIVE: the zip or tar of a set, unpacked once: beside it, or below datasets/ where that is forbidden."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from detres.data.archives import ARCHIVE_SUFFIXES, unpack
from detres.data.places import datasets_root
from detres.errors import DataError
from detres.files.written_once import write_once

# A hidden name, which no archive's own file is likely to have.
_STAMP = ".unpacked_by_detres"
# Pictures hardly shrink and labels do so twentyfold; what grows a hundredfold, or takes more than the disk has, is no
# set. A gibibyte is let pass whatever the archive's size.
_GROWTH, _LITTLE = 100, 1 << 30


def is_archive(place: Path) -> bool:
    """Whether a file is an archive by its ending."""
    return place.name.lower().endswith(ARCHIVE_SUFFIXES) and os.path.isfile(place)


def unpacked(archive: Path) -> Path:
    """The folder that holds what the archive does; it is filled now, unless it was of the archive as it is now.

    Raises DataError where the archive is damaged, names files outside the folder or would fill the disk, and where the
    folder holds something else.
    """
    try:
        status = archive.stat()
        beside = os.access(archive.absolute().parent, os.W_OK)
        place = (archive.parent if beside else datasets_root()) / f"{archive.name}.unpacked"
        free = shutil.disk_usage(archive.parent if beside else _there(place)).free
    except OSError as error:
        raise DataError(f"{archive}: cannot be read ({error.strerror})") from None
    room = min(free, max(_GROWTH * status.st_size, _LITTLE))
    version = f"{archive.name}, {status.st_size} bytes, changed at {status.st_mtime_ns} ns"

    def fill(folder: Path) -> None:
        try:
            unpack(archive, folder, room=room)
        except DataError as error:
            # Its folder has a passing name until all is there.
            told = str(error).replace(str(folder), str(place))
            raise DataError(told if told.startswith(str(archive)) else f"{archive}: {told}") from None

    write_once(place, version, fill, stamp=_STAMP, renew=True)
    return place


def _there(place: Path) -> Path:
    return next(folder for folder in (place, *place.absolute().parents) if folder.exists())
