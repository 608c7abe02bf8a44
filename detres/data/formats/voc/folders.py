"""VOC's annotations in folders, without ImageSets: which folder of them belongs to which folder of pictures.

labelImg and Roboflow write both into one folder; others have images/ beside annotations/, whole or a split each:

    a.jpg a.xml      images/ annotations/      train/images/ train/annotations/      images/train/ annotations/train/

A *split* is a path below the root: `.`, `train`; it names the folder that holds both, or one in each of the two.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detres.data.formats.voc.lists import Pictures
from detres.data.images.files import is_hidden, list_images
from detres.data.inside import below
from detres.data.looking import Look, look
from detres.data.problems import Problem

IMAGE_FOLDERS = ("jpegimages", "images", "image", "imgs", "img", "pictures", "photos")
ANNOTATION_FOLDERS = ("annotations", "annotation", "labels", "xmls", "xml", "annots", "anns")


@dataclass(frozen=True)
class Pair:
    """pictures, annotations: folders, as paths below the root; `.` is the root."""

    pictures: str
    annotations: str


def pair_of(root: Path, split: str, top: Look | None = None) -> Pair | None:
    """The folders of a split; None where there are none, or the split leads out of the root.

    top: a look at the root, where one was taken.
    """
    split = "." if split in ("", ".") else below(split, root) or ""
    if not split:
        return None
    top = top or look(root)
    here = top if split == "." else look(root / split)
    if inside := _inside(here):
        return Pair(_joined(split, inside[0]), _joined(split, inside[1]))
    images, annotations = top.folder(IMAGE_FOLDERS), top.folder(ANNOTATION_FOLDERS)
    if split != "." and images and annotations and has_xml(root / annotations / split):
        return Pair(_joined(images, split), _joined(annotations, split))
    return None


def _inside(here: Look) -> tuple[str, str] | None:
    """The names of pictures' and annotations' folders in a folder that holds both."""
    if here.ending(".xml"):
        images = here.folder(IMAGE_FOLDERS)
        return ("." if here.images() or images is None else images, ".")
    annotations = here.folder(ANNOTATION_FOLDERS)
    if annotations is None or not has_xml(here.place / annotations):
        return None
    return here.folder(IMAGE_FOLDERS) or ".", annotations


def has_xml(folder: Path) -> bool:
    """Whether there is an XML file in a folder, or in one of those right below it."""
    here = look(folder)
    return bool(here.ending(".xml")) or any(look(folder / name).ending(".xml") for name in here.folders[:_MOST])


_MOST = 20


def entries_of(root: Path, pair: Pair) -> list[str]:
    """The entries of all XML files of a split, sorted; below a folder that has pictures too, those right in it."""
    place = root / pair.annotations
    found = []
    for at, folders, files in os.walk(place):
        folders[:] = [] if pair.pictures == pair.annotations else [name for name in folders if not is_hidden(name)]
        above = os.path.relpath(at, place).replace(os.sep, "/")
        names = [name for name in files if name.lower().endswith(".xml") and not is_hidden(name)]
        found += [_joined(above, posixpath.splitext(name)[0]) for name in names]
    return sorted(found)


def without_annotation(root: Path, pair: Pair, taken: Sequence[str]) -> list[Problem]:
    """A problem for each picture of a split that no annotation is of. taken: the names of those that one is of."""
    place = root / pair.pictures
    names = look(place).images() if pair.pictures in (pair.annotations, ".") else list_images(place).names
    left = sorted(set(names) - set(taken))
    detail = "no XML is of it, and one without objects has an XML without <object>; left out"
    return [Problem("annotation missing", _joined(pair.pictures, name), detail, costs_image=True) for name in left]


def pictures_of(root: Path, pair: Pair) -> Pictures:
    return Pictures(root, pictures=pair.pictures, annotations=pair.annotations)


def _joined(folder: str, name: str) -> str:
    return posixpath.normpath(posixpath.join(folder, name))
