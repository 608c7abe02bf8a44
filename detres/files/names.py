"""File names made of other people's words: classes, images and sets are called as anybody likes."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence

# What no file name may hold on one system or another, and what ends a line.
_UNSAFE = re.compile(r'[/\\:*?"<>|\x00-\x1f\x7f]')
_MOST_BYTES = 120  # of a stem; a name has 255, of which endings and names of unfinished files take some


def file_stem(name: str) -> str:
    """The name as it may stand in a folder: without separators, not hidden, not `..`, of a length any disk takes."""
    stem = _UNSAFE.sub("_", name)
    begin = len(stem) - len(stem.lstrip("."))
    stem = "_" * begin + stem[begin:] or "_"
    encoded = stem.encode("utf-8", errors="surrogateescape")
    if len(encoded) <= _MOST_BYTES:
        return stem
    digest = hashlib.blake2b(encoded, digest_size=4).hexdigest()
    return f"{encoded[: _MOST_BYTES - 9].decode('utf-8', errors='ignore')}-{digest}"


def file_stems(names: Sequence[str]) -> list[str]:
    """One for each name, no two the same, also where upper and lower case are: later ones get a number."""
    taken = {_seen(file_stem(name)) for name in names}
    given: set[str] = set()
    stems = []
    for name in names:
        stem, number = file_stem(name), 1
        while _seen(stem) in given or (number > 1 and _seen(stem) in taken):
            number += 1
            stem = f"{file_stem(name)}_{number}"
        given.add(_seen(stem))
        stems.append(stem)
    return stems


def _seen(stem: str) -> str:
    """What a file system that is blind to case and to ways of composing letters makes of it."""
    return unicodedata.normalize("NFC", stem).casefold()
