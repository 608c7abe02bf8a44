"""PASCAL VOC: a year of the VOCdevkit, or any folder with Annotations/, JPEGImages/ and ImageSets/Main/.

A *year folder* is the one that holds Annotations/. Boxes are read by xml.py, lists and pictures by lists.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from detres.data.classes import VOC_CLASSES, select_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawImage, index_images, read_all
from detres.data.formats.voc import GET_VOC
from detres.data.formats.voc.lists import Pictures, find_list, list_files, read_entries
from detres.data.formats.voc.xml import VocFile, class_names_of, parse_annotation
from detres.data.problems import Problem
from detres.errors import DataError

_OFFICIAL_YEAR = re.compile(r"VOC20(0[7-9]|1[0-2])")
# The boxes of these tests never came out. Annotations that lie beside them are other challenges', of some images.
_SECRET_TEST = re.compile(r"VOC20(0[89]|1[0-2])/test")


def load_voc(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    exif: bool = True,
    max_pixels: int | None = None,
    strict: bool | None = False,
    sibling_splits: Iterable[str] = (),
) -> AnnotatedImages:
    """The images of one list; `split` is YEAR/LIST (2007/trainval), or LIST where root is itself a year folder.

    Without `classes` a year from 2007 to 2012 has VOC's twenty; other folders have every name that occurs in the
    annotations that any of their lists names, and those of `sibling_splits`, sorted, so that all splits agree on the
    labels.
    Raises DataError where a folder or a list is missing, or a class is.
    """
    folder, listed = year_folder(root, split)
    found: list[Problem] = []
    official, secret = _OFFICIAL_YEAR.fullmatch(folder.name), _SECRET_TEST.fullmatch(f"{folder.name}/{listed}")
    pictures = Pictures(folder)
    stems = read_entries(_find_list(folder, listed), pictures, _prefix(root, folder), found)
    parsed = {} if secret else _parse(folder, stems)
    images = _raw_images(_prefix(root, folder), stems, parsed, pictures, found)
    if official:
        known: Sequence[str] = VOC_CLASSES
    else:
        others = dict.fromkeys([folder, *(year_folder(root, other)[0] for other in sibling_splits)])
        known = sorted(set().union(*(_occurring_names(each, parsed if each == folder else {}) for each in others)))
    chosen = select_classes(classes, known, str(folder))
    if not chosen:
        raise DataError(f"{folder / 'Annotations'}: no annotation there names a class")
    return index_images(
        images,
        name=f"{folder.name.lower()}-{listed}" if official else f"{root.name}-{split}",
        root=root,
        known_classes=known,
        classes=chosen,
        exif=exif,
        max_pixels=max_pixels,
        strict=strict,
        problems=found,
    )


def year_folder(root: Path, split: str) -> tuple[Path, str]:
    """The folder a split lies in and the name of its list; DataError that says where the folder was looked for."""
    year, _, listed = split.rpartition("/")
    names = [year] if year.startswith("VOC") or not year else [f"VOC{year}", year]
    candidates = [root / above / name for name in names for above in ("VOCdevkit", "")] if year else [root]
    for folder in candidates:
        if os.path.isdir(folder / "ImageSets"):
            return folder, listed
    looked = ", ".join(str(folder) for folder in candidates)
    raise DataError(f"split {split}: a folder with ImageSets/ was looked for at {looked} and not found; {GET_VOC}")


def _prefix(root: Path, folder: Path) -> str:
    base = folder.relative_to(root).as_posix()
    return "" if base == "." else f"{base}/"


def _find_list(folder: Path, listed: str) -> Path:
    file = find_list(folder, listed)
    if file is None:
        there = [path.stem for path in list_files(folder) if "_" not in path.stem]
        looked = folder / "ImageSets" / "Main" / f"{listed}.txt"
        raise DataError(f"{looked}: there is no such list; there are {', '.join(there) or 'none'}. {GET_VOC}")
    return file


def _parse(folder: Path, stems: Sequence[str]) -> dict[str, VocFile | DataError | None]:
    """What each annotation file holds, or why it cannot be read; None where there is no such file."""
    place = str(folder / "Annotations")
    return dict(zip(stems, read_all(lambda stem: _parse_one(f"{place}/{stem}.xml"), stems), strict=True))


def _parse_one(file: str) -> VocFile | DataError | None:
    try:
        return parse_annotation(file) if os.path.isfile(file) else None
    except DataError as error:
        return DataError(str(error).removeprefix(f"{file}: "))


def _raw_images(
    prefix: str,
    stems: Sequence[str],
    parsed: Mapping[str, VocFile | DataError | None],
    pictures: Pictures,
    found: list[Problem],
) -> list[RawImage]:
    if stems and not any(parsed.values()):
        detail = f"none of its {len(stems)} images has one; nothing can be measured on it"
        found.append(Problem("set without annotations", f"{prefix}Annotations", detail))
        return [RawImage(f"{prefix}JPEGImages/{pictures.of_entry(stem, None)[0]}", stem) for stem in stems]
    images = []
    for stem in stems:
        annotation, shown = parsed[stem], f"{prefix}Annotations/{stem}.xml"
        if annotation is None:
            found.append(
                Problem("annotation missing", shown, "there is no such file; its image is left out", costs_image=True)
            )
        elif isinstance(annotation, DataError):
            found.append(
                Problem("annotation malformed", shown, f"{annotation}; its image is left out", costs_image=True)
            )
        else:
            found += [Problem("annotation malformed", shown, slip) for slip in annotation.slips]
            picture, doubt = pictures.of_entry(stem, annotation.file_name)
            found += [Problem("picture in doubt", shown, doubt)] if doubt else []
            images.append(RawImage(f"{prefix}JPEGImages/{picture}", stem, annotation.size, annotation.boxes))
    return images


def _occurring_names(folder: Path, parsed: Mapping[str, VocFile | DataError | None]) -> set[str]:
    """The classes of all annotations that lists of a folder name; those in `parsed` are read already."""
    pictures = Pictures(folder)
    listed: dict[str, None] = {}
    for file in list_files(folder):
        try:
            listed |= dict.fromkeys(read_entries(file, pictures, "", []))
        except DataError:
            continue  # a text of another kind; the list that was asked for is read elsewhere
    place = str(folder / "Annotations")
    more = read_all(lambda stem: _names_or_none(f"{place}/{stem}.xml"), [stem for stem in listed if stem not in parsed])
    boxes = (box for each in parsed.values() if isinstance(each, VocFile) for box in each.boxes)
    return set().union({box.name for box in boxes} - {""}, *more)


def _names_or_none(file: str) -> set[str]:
    try:
        return class_names_of(file)
    except DataError:
        return set()  # told with the split that it is of


def has_split(root: Path, split: str) -> bool:
    """Whether the list of a split is there."""
    try:
        folder, listed = year_folder(root, split)
    except DataError:
        return False
    return (folder / "ImageSets" / "Main" / f"{listed}.txt").is_file()
