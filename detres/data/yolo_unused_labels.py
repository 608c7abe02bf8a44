"""Label files that no image of a YOLO set has: matched where only capitals or an ending differ, told where not.

An image without a label file is one without objects, so that a label file of a wrong name would be lost in silence.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detres.data.annotations import Problem
from detres.data.image_files import IMAGE_SUFFIXES, is_hidden, printable
from detres.data.values import finite_number, whole_number
from detres.data.yolo_labels import mirrored_folder, shown

_SHOWN = 3
_LOOK = 4096


def match_labels(
    images: Sequence[Path], labels: Sequence[Path], place: Path, folder: Path, found: list[Problem]
) -> list[Path]:
    """The label file of each image, where one is misnamed that one; what is left over is told in one line.

    place: the folder, or the list, that the images are of. A label file is an image's where none but it can be meant:
    IMG_1.txt or img_1.jpg.txt for img_1.jpg. Left-over files may be the labels of images that have none, which would
    be taken for background: that is no harmless thing.
    """
    unused = _unused(images, labels, place)
    if not unused:
        return list(labels)
    lacking = [i for i, label in enumerate(labels) if not os.path.isfile(label)]
    by_name: dict[tuple[str, str], list[str]] = {}
    for file in unused:
        where, name = os.path.split(file)
        by_name.setdefault((where, _alike(os.path.splitext(name)[0])), []).append(file)
    meant = {i: {file for key in _names_of(images[i]) for file in by_name.get(key, ())} for i in lacking}
    claims = Counter(file for files in meant.values() for file in files)
    matched = {i: next(iter(files)) for i, files in meant.items() if len(files) == 1 and claims[min(files)] == 1}
    if matched:
        first = next(iter(matched))
        detail = (
            f"{len(matched)} label files are named as their images but for capitals or an ending, such as "
            f"{printable(os.path.basename(matched[first]))} of {printable(images[first].name)}; they are matched"
        )
        found.append(Problem("written otherwise", shown(Path(matched[first]).parent, folder), detail))
    left = sorted(set(unused) - set(matched.values()))
    if left:
        found.append(_told(left, len(lacking) - len(matched), folder))
    return [Path(matched[i]) if i in matched else label for i, label in enumerate(labels)]


def _told(left: Sequence[str], lacking: int, folder: Path) -> Problem:
    names = ", ".join(printable(os.path.basename(file)) for file in left[:_SHOWN]) + (
        ", …" if len(left) > _SHOWN else ""
    )
    where, detail = shown(Path(left[0]).parent, folder), f"{len(left)} label files belong to no image: {names}"
    if not lacking:
        return Problem("file not read", where, detail)
    more = f"; {lacking} images have none and are taken for background: name the files as their images, or remove them"
    return Problem("annotation missing", where, detail + more)


def _names_of(image: Path) -> list[tuple[str, str]]:
    mirrored = mirrored_folder(image.parent)
    places = [str(image.parent), *([str(mirrored)] if mirrored else [])]
    return [(place, name) for place in places for name in {_alike(image.stem), _alike(image.name)}]


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _unused(images: Sequence[Path], labels: Sequence[Path], place: Path) -> list[str]:
    """The label files in the images' folders and in those of their labels that are no image's by their name."""
    used = set(map(str, labels))
    folders = dict.fromkeys(os.path.dirname(image) for image in images)
    mirrors = [str(mirrored) for each in folders if (mirrored := mirrored_folder(Path(each)))]
    if os.path.isdir(place):
        top = mirrored_folder(place)
        mirrors = [below for below, _, _ in os.walk(top)] if top else mirrors
    else:
        # The others in these folders may be another list's.
        for each in folders:
            stems = [os.path.splitext(name) for name in _listed(each)]
            beside = [stem for stem, suffix in stems if suffix.lower() in IMAGE_SUFFIXES]
            for where in (each, str(mirrored_folder(Path(each)) or each)):
                used.update(os.path.join(where, stem + ending) for stem in beside for ending in (".txt", ".TXT"))
    found = [file for each in dict.fromkeys(mirrors) for file in _texts(each) if file not in used]
    beside = [file for each in folders if each not in mirrors for file in _texts(each) if file not in used]
    return found + [file for file in beside if _holds_labels(file)]


def _listed(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if not is_hidden(name))
    except OSError:
        return []  # what cannot be listed is told where its files are read


def _texts(folder: str) -> list[str]:
    return [
        os.path.join(folder, name)
        for name in _listed(folder)
        if name.lower().endswith(".txt") and name.lower() != "classes.txt"
    ]


def _holds_labels(file: str) -> bool:
    """Whether a text that lies beside images, where any may lie, begins as labels do."""
    try:
        with open(file, "rb") as stream:
            words = stream.read(_LOOK).decode("utf-8-sig", errors="replace").strip().split("\n")[0].split()
    except OSError:
        return False
    return len(words) > 4 and whole_number(words[0]) is not None and None not in map(finite_number, words[1:])
