"""Darknet's sets, which CVAT calls YOLO 1.1: lists of images, a label file for each, and names in an obj.names.

    obj.data                 classes = 2, train = data/train.txt, valid = data/valid.txt, names = data/obj.names
    obj.names                a class a line
    train.txt                an image a line, such as data/obj_train_data/a.jpg
    obj_train_data/a.txt     YOLO's lines (detres/data/formats/yolo/labels.py), beside a.jpg or without it

The paths in obj.data and in the lists are those of the machine that trained: what is not there is looked for by the
last parts of its path. An image without a label file has no objects, as in YOLO's other form.
Source: docs.cvat.ai/docs/dataset_management/formats/format-yolo, and github.com/AlexeyAB/darknet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from detres.data.classes import select_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawImage, index_images
from detres.data.formats.format import Format, Recognized
from detres.data.formats.labels.pictures import Pictures
from detres.data.formats.labels.recognizing import recognized
from detres.data.formats.labels.splits import SplitPlace, existing_file, has_split, place_of_split
from detres.data.formats.yolo.labels import LabelForm, label_file, read_labels
from detres.data.formats.yolo.reading import names_by_line
from detres.data.images.files import names_in
from detres.data.inside import below, forms_of
from detres.data.problems import Problem
from detres.data.values import stem_ids
from detres.errors import DataError
from detres.files.text import MOST_LIST_BYTES, read_lines, read_text

_MOST_BYTES = 1 << 16
_KEY = re.compile(r"\s*([a-z_]+)\s*=\s*(.*?)\s*")
_SPLITS = {"train": "train", "valid": "val", "val": "val", "test": "test"}


def load_darknet(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    exif: bool = True,
    max_pixels: int | None = None,
    strict: bool | None = False,
) -> AnnotatedImages:
    """The images of one list; `split` is its name below root, such as train.txt, or NAME:FOLDER.

    Raises DataError where the list or the names are missing, and where no image can be used.
    """
    place = place_of_split(root, split)
    lines = read_lines(existing_file(place), most=MOST_LIST_BYTES)
    names = read_names(place.file, root)
    found: list[Problem] = []
    files = _files(lines, root, place, found)
    labels = [_label_file(root / file, line, place, root) for file, line in files.items()]
    if files and not any(map(os.path.isfile, labels)):
        detail = f"none of its {len(files)} images has a label file, such as {labels[0].name}"
        found.append(Problem("set without annotations", place.shown, detail))
    form = LabelForm(names)
    boxes = read_labels([root / file for file in files], labels, form, root, exif, max_pixels, found)
    images = [
        RawImage(file, image_id, None, each)
        for file, image_id, each in zip(files, stem_ids(list(files)), boxes, strict=True)
        if each is not None
    ]
    return index_images(
        images,
        name=f"{root.name}-{Path(place.shown).stem}",
        root=root,
        known_classes=names,
        classes=select_classes(classes, names, str(place.file)),
        exif=exif,
        max_pixels=max_pixels,
        strict=strict,
        problems=found,
    )


def _files(lines: Sequence[str], root: Path, place: SplitPlace, found: list[Problem]) -> dict[str, str]:
    """The image of each line, and the line."""
    pictures = Pictures(root, place.file.parent, place.images)
    files: dict[str, str] = {}
    for line in lines:
        file = pictures.place(line)
        if isinstance(file, Problem):
            found.append(file)
        elif file in files:
            found.append(Problem("image repeated", file, f"{place.shown} lists it twice; read once"))
        else:
            files[file] = line
    if pictures.mended:
        detail = f"{pictures.mended} pictures lie elsewhere than it says; they are found by the ends of their paths"
        found.append(Problem("written otherwise", place.shown, detail))
    return files


def _label_file(image: Path, line: str, place: SplitPlace, root: Path) -> Path:
    """Beside the image, or where the list says that the image would be."""
    own = label_file(image)
    if os.path.lexists(own):
        return own
    stated = os.path.splitext(forms_of(line)[-1])[0] + ".txt"
    return _found_below(stated, [place.file.parent, root]) or own


def _found_below(name: str, folders: Sequence[Path]) -> Path | None:
    """The file that the most of a path's last parts lead to, below one of the folders."""
    parts = [part for part in forms_of(name)[-1].split("/") if part not in ("", ".")]
    for start in range(len(parts)):
        for folder in folders:
            inside = below("/".join(parts[start:]), folder)
            if inside is not None and os.path.isfile(folder / inside):
                return folder / inside
    return None


def read_names(file: Path, root: Path) -> list[str]:
    """The classes by number, from the names that obj.data states, else from the one file of names that is there.

    Raises DataError where there is none, or more than one.
    """
    folders = list(dict.fromkeys([file.parent, root]))
    for data_file in _files_of(folders, ".data"):
        stated = _data_of(data_file).get("names")
        names_file = _found_below(stated, folders) if stated else None
        if names_file is not None:
            return names_by_line(names_file)
    others = _files_of(folders, ".names")
    if len(others) != 1:
        there = f"there are {', '.join(each.name for each in others)}" if others else "there is none"
        looked = ", ".join(str(folder) for folder in folders)
        raise DataError(
            f"{file}: the class names were looked for in an obj.names in {looked}, and {there}; write an obj.data with "
            "names = obj.names"
        )
    return names_by_line(others[0])


def _files_of(folders: Sequence[Path], ending: str) -> list[Path]:
    """The files of an ending, of which the ones called obj come first."""
    files = [folder / name for folder in folders for name in names_in(folder) if name.lower().endswith(ending)]
    return sorted((file for file in files if file.is_file()), key=lambda file: file.stem.lower() != "obj")


def _data_of(file: Path) -> Mapping[str, str]:
    """The keys of an obj.data; none where it is something else."""
    try:
        lines = read_text(file, most=_MOST_BYTES).split("\n")
    except DataError:
        return {}
    matches = [_KEY.fullmatch(line) for line in lines]
    return {match[1]: match[2] for match in matches if match is not None}


def recognize(place: Path) -> Recognized | None:
    """Whether a folder has an obj.data whose lists and names are there, or the file is one."""
    if os.path.isfile(place):
        return _recognized(place) if place.suffix.lower() == ".data" else None
    known = [each for each in map(_recognized, _files_of([place], ".data")) if each is not None]
    return known[0] if known else None


def _recognized(data_file: Path) -> Recognized | None:
    stated = _data_of(data_file)
    folder = data_file.parent
    if "names" not in stated or _found_below(stated["names"], [folder]) is None:
        return None
    splits: dict[str, list[str]] = {}
    for key, split in _SPLITS.items():
        listed = _found_below(stated[key], [folder]) if stated.get(key) else None
        if listed is not None:
            splits[split] = [listed.relative_to(folder).as_posix()]
    return recognized(folder, splits, f"{data_file.name} names its lists and classes") if splits else None


DARKNET = Format(
    load_darknet,
    layout="an obj.data, an obj.names and lists of images such as train.txt lie",
    has_split=has_split,
    has_ignored=False,
    recognize=recognize,
    known_by="an obj.data and obj.names, as CVAT exports for YOLO 1.1",
)
