"""Label files that no image of a YOLO set has: matched where only capitals or an ending differ, told where not.

An image without a label file is one without objects, so that a label file of a wrong name would be lost in silence.
"""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from detres.data.formats.yolo.labels import mirrored_folder, shown
from detres.data.formats.yolo.missing_images import holds_labels, missing_images
from detres.data.images.files import IMAGE_SUFFIXES, is_hidden, printable
from detres.data.problems import Problem

_SHOWN = 3


def match_labels(
    images: Sequence[Path], labels: Sequence[Path], place: Path, folder: Path, found: list[Problem]
) -> list[Path]:
    """The label file of each image, where one is misnamed that one; what is left over is told in one line.

    place: the folder, or the list, that the images are of. A label file is an image's where none but it can be meant:
    IMG_1.txt or img_1.jpg.txt for img_1.jpg. Left-over files may be the labels of images that have none, which would
    be taken for background: that is no harmless thing. Nor is it one where they are of images that a folder has no
    more; those are told one by one.
    """
    places = _label_places(images, place)
    unused = _unused(images, labels, place, places)
    if not unused:
        return list(labels)
    lacking = [i for i, label in enumerate(labels) if not os.path.lexists(label)]
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
    missing = missing_images(left, places, folder) if os.path.isdir(place) else {}
    found += missing.values()
    # While images lack labels, those of a missing one may as well be theirs.
    doubtful = len(lacking) - len(matched)
    left = left if doubtful else [file for file in left if file not in missing]
    if left:
        found.append(_told(left, doubtful, folder))
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


def _label_places(images: Sequence[Path], place: Path) -> dict[str, str]:
    """The folders where labels may lie, each with the folder of the images that they are of: mirrors come first."""
    folders = dict.fromkeys(os.path.dirname(image) for image in images)
    top = mirrored_folder(place) if os.path.isdir(place) else None
    places = {below: str(place / os.path.relpath(below, top)) for below in (_shown_folders(top) if top else ())}
    for each in folders:
        places.setdefault(str(mirrored_folder(Path(each)) or each), each)
    return places | {each: each for each in folders}


def _unused(images: Sequence[Path], labels: Sequence[Path], place: Path, places: Mapping[str, str]) -> list[str]:
    """The label files in those places that are no image's by their name; beside images, where any text may lie, those
    that hold labels."""
    used = set(map(str, labels))
    folders = {os.path.dirname(image) for image in images}
    if not os.path.isdir(place):
        # The others in these folders may be another list's.
        for each in folders:
            stems = [os.path.splitext(name) for name in _listed(each)]
            beside = [stem for stem, suffix in stems if suffix.lower() in IMAGE_SUFFIXES]
            for where in (each, str(mirrored_folder(Path(each)) or each)):
                used.update(os.path.join(where, stem + ending) for stem in beside for ending in (".txt", ".TXT"))
    texts = [(each in folders, file) for each in places for file in _texts(each) if file not in used]
    return [file for beside, file in texts if os.path.isfile(file) and (not beside or holds_labels(file))]


def _shown_folders(top: Path) -> Iterator[str]:
    """A folder and those below it, without hidden ones."""
    for below, folders, _ in os.walk(top):
        folders[:] = [name for name in folders if not is_hidden(name)]
        yield below


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
