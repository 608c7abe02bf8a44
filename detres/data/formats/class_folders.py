"""Folders of class folders: SPLIT/CLASS/*.jpg, the layout of ImageNet's training images and of most sets of one's own.

Only names are read, a million in seconds; whether an image can be decoded shows when it is used, or by check_data.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from detres.data.archives import ARCHIVE_SUFFIXES, refuse_half_unpacked
from detres.data.classes import select_classes
from detres.data.classification.classified import ClassifiedImages
from detres.data.formats.format import Format
from detres.data.images.files import IMAGE_SUFFIXES, is_folder, is_hidden, list_images, others_problem
from detres.data.packing import offsets_of
from detres.data.problems import Problem
from detres.errors import DataError

_SHOWN = 10


def load_folder(
    root: Path, split: str, *, train: Sequence[str] = (), classes: Sequence[str] | None = None, exif: bool = True
) -> ClassifiedImages:
    """The images of a folder of class folders; `split` is its path below root, "." the root itself.

    train: the splits to train on, whose folders name the classes, in alphabetical order; where none of them is there,
    this split's do. classes: select and order them.
    Raises DataError as `known_folders` and `read_class_folders` do.
    """
    known = known_folders(root, train, chosen=bool(classes)) or known_folders(root, [split])
    if not known and os.path.isdir(root / split):
        raise DataError(
            f"{root / split}: it holds no class folders, such as train/cat/ and train/dog/; check data.root"
        )
    folders = select_classes(classes, known, str(root / split))
    own_name = os.path.basename(os.path.abspath(root))
    name = f"{own_name}/{split}" if split != "." else own_name
    return read_class_folders(root, split, folders, name=name, class_names=folders, chosen=bool(classes), exif=exif)


def known_folders(root: Path, splits: Sequence[str], *, chosen: bool = False) -> list[str]:
    """The class folders of those of the splits that are there, sorted.

    chosen: some will be chosen from them, so they may differ from split to split; else DataError where they do.
    """
    listed = {split: list_folders(root / split) for split in splits if os.path.isdir(root / split)}
    listed = {split: names for split, names in listed.items() if names}
    for split, names in listed.items():
        first, expected = next(iter(listed.items()))
        if names != expected and not chosen:
            raise DataError(
                f"{root}: the class folders of {first} and {split} differ: "
                f"{_named(sorted(set(expected) ^ set(names)))} in one of them; mend them, or name those that are meant "
                "with data.classes"
            )
    return sorted({name for names in listed.values() for name in names})


def list_folders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted; hidden ones, and links that lead back up, are left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if not is_hidden(entry.name) and is_folder(entry))


def read_class_folders(
    root: Path,
    split: str,
    folders: Sequence[str],
    *,
    name: str,
    class_names: Sequence[str],
    chosen: bool = False,
    exif: bool = True,
) -> ClassifiedImages:
    """The images of a split whose class folders are known.

    folders: the folder of each class, in the order of labels. class_names: what the classes are called, in the same
    order. chosen: some of the folders may not be wanted, and are passed over.
    Raises DataError where the split is missing or half unpacked, its folders are others, or a class has no image.
    """
    place = root / split
    refuse_half_unpacked(root)
    if not os.path.isdir(place):
        raise DataError(f"{place}: there is no such folder; check data.root={root} and the split's name")
    found = _loose_files(place, split)
    strange = sorted(set(list_folders(place)) - set(folders))
    if strange and not chosen:
        raise DataError(
            f"{place}: {len(strange)} folders are no class of the training images: {_named(strange)}. Class folders "
            "must be named alike in every split; mend them, or name the classes that are meant with data.classes"
        )
    with ThreadPoolExecutor(8) as pool:  # on a network's file system, listing waits
        listings = list(pool.map(lambda folder: _list_images(str(place / folder), _prefix(split, folder)), folders))
    empty = [folder for folder, listing in zip(folders, listings, strict=True) if not len(listing.lengths)]
    if empty:
        raise DataError(
            f"{place}: {len(empty)} of {len(folders)} classes have no image there: {_named(empty)}. Is the set half "
            "unpacked? Unpack it anew, or name the classes that are meant with data.classes"
        )
    found += others_problem([name for listing in listings for name in listing.others], split)
    lengths = [listing.lengths for listing in listings]
    return ClassifiedImages(
        name=name,
        root=root,
        class_names=tuple(class_names),
        labels=np.repeat(np.arange(len(folders)), [len(part) for part in lengths]),
        file_names=np.frombuffer(b"".join(listing.letters for listing in listings), dtype=np.uint8),
        file_offsets=offsets_of(np.concatenate(lengths)) if lengths else np.zeros(1, dtype=np.int64),
        exif=exif,
        problems=tuple(found),
    )


class _Listing(NamedTuple):
    """The names of one class's images, one after the other in bytes, how long each is, and what else lies there."""

    letters: bytes
    lengths: np.ndarray
    others: list[str]


def _list_images(folder: str, prefix: str) -> _Listing:
    """Those below a class folder, in folders of its own too, sorted by name; nothing where there is no such folder."""
    names, others = list_images(folder)
    try:
        encoded = [(prefix + name).encode() for name in sorted(names)]
    except UnicodeEncodeError as error:
        raise DataError(f"{folder}: the name {error.object!r} is no UTF-8; rename the file") from None
    lengths = np.array([len(name) for name in encoded], dtype=np.int64)
    return _Listing(b"".join(encoded), lengths, [prefix + name for name in others])


def _prefix(split: str, folder: str) -> str:
    return f"{folder}/" if split == "." else f"{split.rstrip('/')}/{folder}/"


def _loose_files(place: Path, split: str) -> list[Problem]:
    """What lies beside the class folders; DataError where it is archives."""
    with os.scandir(place) as entries:
        names = sorted(entry.name for entry in entries if os.path.isfile(entry.path) and not is_hidden(entry.name))
    archives = [name for name in names if name.endswith(ARCHIVE_SUFFIXES)]
    if archives:
        raise DataError(
            f"{place}: {len(archives)} archives lie there that are not unpacked: {_named(archives)}. Unpack each into "
            "a folder of its name (for ImageNet, `detres prepare imagenet` does), and remove them"
        )
    pictures = [name for name in names if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]
    where = "" if split == "." else f"{split}/"
    detail = "it lies in no class folder; left out"
    return [Problem("image without class", where + name, detail, costs_image=True) for name in pictures]


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


CLASS_FOLDERS = Format(load_folder, layout="train/ and val/ hold a folder of images a class")
