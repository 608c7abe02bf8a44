"""Places as people and files name them, as far as any system can have them: an address of the web is none."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path

from detres.errors import UserError
from detres.lookup import nearest

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/{1,3}[^/]")  # one letter is a disk of Windows
_MOST_BYTES = 4095
_MOST_OF_A_NAME = 255
_MOST_LOOKED_AT = 10_000


def what_is_wrong_with(place: str) -> str | None:
    """Why no file or folder can be called so, or None."""
    if "\0" in place:
        return "it holds a NUL character"
    try:
        encoded = place.encode("utf-8", errors="surrogateescape")  # bytes of names that are no UTF-8 stand so
    except UnicodeEncodeError:
        return "it holds half a character"
    if len(encoded) > _MOST_BYTES or any(len(name) > _MOST_OF_A_NAME for name in encoded.split(b"/")):
        return f"it is longer than a file's name can be ({_MOST_OF_A_NAME} bytes a folder, {_MOST_BYTES} in all)"
    return None


def is_address(place: str) -> bool:
    """Whether this is an address such as https://… or s3://…; as a path it would lose a slash."""
    return _ADDRESS.match(place) is not None and not Path(place).exists()


def local_place(text: str | Path, shown: str) -> Path:
    """The path that `text` names, with ~ for the home. shown: what errors call it, such as `--data data.yaml`.

    Raises UserError, with the text as it was given, for an address, and for what no file can be called.
    """
    text = str(text)
    if wrong := what_is_wrong_with(text):
        raise UserError(f"{shown if len(shown) <= 120 else shown[:117] + '...'}: {wrong}")
    if is_address(text):
        raise UserError(f"{shown}: this is an address, and files are read from disks; download it, and name the file")
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~nobody
        raise UserError(f"{shown}: whose home {text.partition('/')[0]} is, is not known; write the path out") from None


def nothing_there(place: Path) -> str:
    """That there is no such file or folder, for people, with the nearest that there is."""
    inside = [place, *place.parents]
    above = next((at for at, folder in enumerate(inside) if os.path.isdir(folder)), None)
    close: list[str] = []
    if above:  # 0: the place itself
        folder, missing = inside[above], inside[above - 1].name
        try:
            with os.scandir(folder) as entries:
                names = [entry.name for entry in islice(entries, _MOST_LOOKED_AT)]
        except OSError:
            names = []
        same = [name for name in names if name.lower() == missing.lower()]
        close = [str(folder / name) for name in same or nearest(missing, names, 1)]
    return "there is no such file or folder" + (f"; did you mean {close[0]}?" if close else "")
