"""Images that stand in two splits, so that what is measured on one was learned from the other.

The same path is always found, whatever it is called, links included; a copy under another name only where contents are
compared, which reads those files whole.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from detres.data.detection.annotations import AnnotatedImages
from detres.data.problems import Problem
from detres.files.many import read_all

_CHUNK = 1 << 20


def shared_images(learned: AnnotatedImages, measured: AnnotatedImages, *, contents: bool = False) -> list[Problem]:
    """A problem for each image of `measured` that is one of `learned` as well.

    contents: also where another file has the same bytes; only files of equal length are read for that.
    """
    names = {identity: i for i, (identity, _) in _files(learned)}
    found: dict[int, int] = {}
    rest = []
    for i, (identity, length) in _files(measured):
        if identity in names:
            found[i] = names[identity]
        else:
            rest.append((i, length))
    how = dict.fromkeys(found, "the same file as")
    if contents:
        alike = _same_contents(learned, measured, rest)
        found, how = found | alike, dict.fromkeys(alike, "the same bytes as") | how
    return [
        Problem("image repeated", measured.file_name(i), f"{how[i]} {learned.file_name(found[i])} of {learned.name}")
        for i in sorted(found)
    ]


def _files(images: AnnotatedImages) -> Iterator[tuple[int, tuple[tuple[int, int] | str, int]]]:
    """Of each image that is there: its index, what the system tells it by, and its length."""
    for i in range(len(images)):
        path = images.path(i)
        try:
            status = os.stat(path)
        except OSError:
            continue
        # Some file systems number nothing.
        yield i, ((status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path), status.st_size)


def _same_contents(learned: AnnotatedImages, measured: AnnotatedImages, rest: list[tuple[int, int]]) -> dict[int, int]:
    """For images of `measured` an image of `learned` with the same bytes."""
    lengths = {length for _, length in rest}
    candidates = [(i, length) for i, (_, length) in _files(learned) if length in lengths]
    there = {length for _, length in candidates}
    known = [i for i, _ in candidates]
    digests = read_all(_digest, [learned.path(i) for i in known])
    by_digest = dict(zip(reversed(digests), reversed(known), strict=True))
    asked = [i for i, length in rest if length in there]
    found = zip(asked, read_all(_digest, [measured.path(i) for i in asked]), strict=True)
    return {i: by_digest[digest] for i, digest in found if digest in by_digest}


def _digest(path: Path) -> bytes:
    """Of the file's bytes; its name's where it cannot be read."""
    state = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as stream:
            while chunk := stream.read(_CHUNK):
                state.update(chunk)
    except OSError:
        state.update(os.fsencode(path))
    return state.digest()
