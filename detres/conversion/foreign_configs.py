"""Config files of other projects: untrusted text, of bounded size, from which nothing but plain values is built."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

from detres.errors import ConfigError, DataError
from detres.files.text import decode_text

MOST_BYTES = 1 << 18
"""A whole config of detectron2's has 10 kB, one of mmdetection's 30."""
_MOST_VALUES, _LARGEST = 64, 2**53
_SHORT = reprlib.Repr()
_SHORT.maxlevel = 2


def read_config_file(path: Path) -> str:
    """The text of a config file. Raises ConfigError where it is none, or larger than any config is."""
    try:
        if not path.is_file():
            raise ConfigError(f"{path}: no such config file")
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None
    if len(content) > MOST_BYTES:
        raise ConfigError(f"{path}: over {MOST_BYTES >> 10} KiB, which no config is")
    try:
        return decode_text(content, str(path))
    except DataError as error:
        raise ConfigError(str(error)) from None


def plain(value: Any, where: str, depth: int = 2) -> Any:
    """A scalar, or lists of scalars within lists, tuples as lists. Raises ConfigError for anything else.

    Numbers are finite and no larger than any setting is; `where` names the value.
    """
    if isinstance(value, bool | None):
        return value
    if isinstance(value, int | float) and abs(value) < _LARGEST:  # A nan is not below it either.
        return value
    if isinstance(value, str) and len(value) <= 1000:
        return value
    if isinstance(value, list | tuple) and depth and len(value) <= _MOST_VALUES:
        return [plain(each, where, depth - 1) for each in value]
    raise ConfigError(f"{where}: got {shown(value)}, expected numbers, text, or lists of them")


def extent(values: Any, most: int = 200_000) -> int:
    """How many values there are, those that are shared counted each time.

    Raises ValueError where they are more than `most`, which no config has: whoever walks through them would not end.
    """
    waiting, met = [values], 0
    while waiting:
        value = waiting.pop()
        met += 1
        if met + len(waiting) > most:
            raise ValueError(f"over {most:,} values, which no config has")
        if isinstance(value, dict | list | tuple):
            waiting.extend(value.values() if isinstance(value, dict) else value)
    return met


def shown(value: Any) -> str:
    """A value in a message: short, whatever it is."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Of whole numbers with thousands of digits, nothing is shown.
        return f"a huge {type(value).__name__}"
