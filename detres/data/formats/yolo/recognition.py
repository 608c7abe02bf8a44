"""Whether a folder is a YOLO set that nobody described: text files of labels beside images, and a classes.txt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from detres.data.formats.format import Recognized
from detres.data.formats.yolo.class_lists import find_class_list
from detres.data.formats.yolo.missing_images import holds_labels
from detres.data.looking import Look, look
from detres.data.places import SplitName
from detres.data.split_words import parts_of, splits_among
from detres.errors import DataError

# Label files that are opened: many may be empty, of images without objects.
_TRIED = 200
# What other tools describe such labels by; sets of those are read as theirs.
_OTHERS = (".names", ".data", ".labels")


@dataclass(frozen=True)
class _Found:
    """images: the split, as the reader takes it. labels: the folder of its labels, below the root."""

    images: str
    labels: str


def recognize_yolo(place: Path) -> Recognized | None:
    """A folder with images/ and labels/, a split each in it or in them, or with images and labels side by side.

    Raises DataError where the names of the classes are nowhere: the labels hold numbers.
    """
    top = look(place)
    if any(top.ending(suffix) for suffix in _OTHERS):
        return None
    images, labels = top.folder(("images",)), top.folder(("labels",))
    below = [*top.folders, *(look(place / labels).folders if labels else ())]
    found: dict[SplitName, _Found] = {}
    for split, name in splits_among(dict.fromkeys(below)).items():
        each = _in_folder(place, name)
        if each is None and images and labels and _holds_labels(look(place / labels / name)):
            each = _Found(f"{images}/{name}", f"{labels}/{name}")
        if each is not None:
            found[split] = each
    whole = None if found else _in_folder(place, ".", top)
    if whole is not None:
        found["train"] = whole
    parts = {} if found else {name: each for name in parts_of(top) if (each := _in_folder(place, name)) is not None}
    if not found and not parts:
        return None
    labels_of = next(iter((*found.values(), *parts.values()))).labels
    if find_class_list(place) is None:
        raise DataError(
            f"{labels_of}/ holds labels of YOLO's kind, and the names of their classes are "
            f"nowhere: write them into {place / 'classes.txt'}, a line a class"
        )
    if parts:
        why = f"{' and '.join(parts)} hold text files of labels"
        return Recognized(place, why, train=tuple(each.images for each in parts.values()))
    splits = {split: (each.images,) for split, each in found.items()}
    return Recognized(place, _why(place, labels_of), **splits)


def _in_folder(place: Path, name: str, here: Look | None = None) -> _Found | None:
    """Both in a folder: images/ and labels/, or side by side."""
    here = here or look(place / name)
    prefix = "" if name == "." else f"{name}/"
    images, labels = here.folder(("images",)), here.folder(("labels",))
    if images and labels and _holds_labels(look(here.place / labels)):
        return _Found(f"{prefix}{images}", f"{prefix}{labels}")
    return _Found(name, name) if here.images() and _holds_labels(here) else None


def _holds_labels(here: Look) -> bool:
    return any(holds_labels(str(here.place / name)) for name in here.ending(".txt")[:_TRIED])


def _why(place: Path, labels: str) -> str:
    here = look(place / labels)
    held = here.counted([name for name in here.ending(".txt") if name != "classes.txt"], "text file")
    return f"{labels if labels != '.' else place.name or '.'}/ holds {held} of labels"
