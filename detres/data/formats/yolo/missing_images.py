"""Images that a folder of a YOLO set had and has no more, known by the label files they left behind.

A list names its images, a folder does not: without these, a figure over what is left would look like one of the set.
"""

from __future__ import annotations

import codecs
import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from detres.data.formats.yolo.labels import shown
from detres.data.images.files import is_image, is_other, printable
from detres.data.problems import Problem
from detres.data.values import finite_number, whole_number

_LOOK = 4096
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def missing_images(unused: Sequence[str], places: Mapping[str, str], folder: Path) -> dict[str, Problem]:
    """A problem for each label file that holds labels and whose image is not there.

    unused: label files that belong to none of the images. places: of each folder of labels, the folder of its images.
    Texts of other kinds and files without a line are nobody's labels.
    """
    listed: dict[str, dict[str, list[str]]] = {}
    missing = {}
    for file in unused:
        where, name = os.path.split(file)
        if not holds_labels(file):
            continue
        place = places[where]
        if place not in listed:
            listed[place] = _by_stem(place)
        alike = listed[place].get(_normal(os.path.splitext(name)[0]), [])
        # Where an image has the name, it is read by another one, as behind a link, or told for itself.
        if not any(map(is_image, alike)):
            others = [printable(each) for each in alike if is_other(each)]
            where, detail = printable(shown(Path(file), folder)), _told(printable(shown(Path(place), folder)), others)
            missing[file] = Problem("image missing", where, detail, costs_image=True)
    return missing


def holds_labels(file: str) -> bool:
    """Whether a text begins as labels do."""
    try:
        with open(file, "rb") as stream:
            head = stream.read(_LOOK)
    except OSError:
        return False
    text = head.decode("utf-16" if head.startswith(_UTF_16) else "utf-8-sig", errors="replace")
    words = text.strip().split("\n")[0].split()
    return len(words) > 4 and whole_number(words[0]) is not None and None not in map(finite_number, words[1:])


def _told(place: str, others: Sequence[str]) -> str:
    mend = "bring it back, or remove its labels"
    if others:
        mend = f"{' and '.join(others)} lies there, whose ending is no image's: convert or rename it"
    return f"it holds labels, and {place} has no image of that name; {mend}; left out"


def _by_stem(folder: str) -> dict[str, list[str]]:
    """The files of a folder by their names with their ending and without it."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(name for name in os.listdir(folder) if not os.path.isdir(os.path.join(folder, name)))
    except OSError:
        return {}  # of a folder that is not there, all images are missing
    for name in names:
        for key in {_normal(name), _normal(os.path.splitext(name)[0])}:
            found.setdefault(key, []).append(name)
    return found


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name)
