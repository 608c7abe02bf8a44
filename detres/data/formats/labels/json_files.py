"""JSON files of annotation tools, read whole, and known by their beginning."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from detres.errors import DataError, kind_of
from detres.files.text import read_json_text

# Of a set: COCO's own instances of 2017, 118,000 images, have 450 MB.
MOST_SET_BYTES = 1 << 30
_LOOK = 1 << 16


def read_json(file: Path, *, most: int = MOST_SET_BYTES) -> Any:
    """What a file holds. Raises DataError where it is no JSON, no file, or has more bytes than `most`."""
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{file}: this is no file")
        if status.st_size > most:
            raise DataError(f"{file}: it has {status.st_size:,} bytes, more than {most:,}; is it the right file?")
        return json.loads(read_json_text(file))
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file") from None
    except RecursionError:
        raise DataError(f"{file}: this is no label file: it is nested a thousand deep") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise DataError(f"{file}: this is no JSON: {error}; export it again") from None


def read_list(file: Path, form: str) -> list[Any]:
    """The list that a file holds. form: what it should be, for people. Raises DataError where it holds no list."""
    content = read_json(file)
    if not isinstance(content, list):
        raise DataError(f"{file}: this is no {form}: it holds {kind_of(content)}, not a list; export it again")
    return content


def ends_of(file: Path) -> bytes:
    """The first and the last bytes of a file, by which it is known; nothing where it cannot be read."""
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            return b""
        with file.open("rb") as stream:
            head = stream.read(_LOOK)
            stream.seek(max(os.fstat(stream.fileno()).st_size - _LOOK, len(head)))
            # UTF-16's zeros stand between letters.
            return (head + stream.read(_LOOK)).replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").strip()
    except OSError:
        return b""
