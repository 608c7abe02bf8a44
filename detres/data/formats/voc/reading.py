"""PASCAL VOC: a year of the VOCdevkit, or any folder with Annotations/, JPEGImages/ and ImageSets/Main/; or XML alone.

A *year folder* is the one that holds Annotations/. Boxes are read by xml.py, lists and pictures by lists.py, and where
there are no lists, folders.py says what lies where.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from detres.data.classes import NO_CLASS, VOC_CLASSES, select_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawImage, index_images, read_all
from detres.data.formats.voc import GET_VOC
from detres.data.formats.voc.folders import Pair, entries_of, pair_of, pictures_of, without_annotation
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

    Where there is no such list it is a folder of XML and pictures, or one in each of two: `.`, `train` (folders.py).
    Without `classes` a year from 2007 to 2012 has VOC's twenty; other sets have every name that occurs in the
    annotations of this split (or of any list beside its own), and of `sibling_splits`, sorted, so that all splits agree
    on the labels.
    Raises DataError where a folder or a list is missing, or a class is.
    """
    found: list[Problem] = []
    at = _locate(root, split)
    prefix = _prefix(root, at.folder)
    entries = _entries(at, prefix, found)
    parsed = {} if at.secret else _parse(at.pictures, entries)
    images = _raw_images(prefix, entries, parsed, at.pictures, found)
    if at.pair is not None:
        unread = [stem for stem, annotation in parsed.items() if isinstance(annotation, DataError)]  # told already
        taken = [at.pictures.relative(image.file) for image in images]
        taken += [picture for stem in unread for picture in at.pictures.named_as(stem)]
        found += without_annotation(root, at.pair, taken)
    if at.official:
        known: Sequence[str] = VOC_CLASSES
    else:
        known = sorted(_names(parsed) | _occurring_names(root, at, sibling_splits, parsed))
    chosen = select_classes(classes, known, str(at.folder))
    if not chosen:
        raise DataError(f"{at.pictures.annotations}: {NO_CLASS}")
    return index_images(
        images,
        name=f"{at.folder.name.lower()}-{at.listed}"
        if at.official
        else root.name + ("" if split == "." else f"-{split}"),
        root=root,
        known_classes=known,
        classes=chosen,
        exif=exif,
        max_pixels=max_pixels,
        strict=strict,
        problems=found,
    )


class _Split(NamedTuple):
    """folder: the year folder, or the root. listed: the name of a list there. pair: where there is none."""

    folder: Path
    listed: str
    pictures: Pictures
    pair: Pair | None = None

    @property
    def official(self) -> bool:
        return self.pair is None and _OFFICIAL_YEAR.fullmatch(self.folder.name) is not None

    @property
    def secret(self) -> bool:
        return self.pair is None and _SECRET_TEST.fullmatch(f"{self.folder.name}/{self.listed}") is not None


def _locate(root: Path, split: str) -> _Split:
    """Where a split is; DataError that says where it was looked for."""
    try:
        folder, listed = year_folder(root, split)
        _find_list(folder, listed)
    except DataError:
        pair = pair_of(root, split)
        if pair is None:
            raise
        return _Split(root, "", pictures_of(root, pair), pair)
    return _Split(folder, listed, Pictures(folder))


def _entries(at: _Split, prefix: str, found: list[Problem]) -> list[str]:
    if at.pair is not None:
        return entries_of(at.folder, at.pair)
    return read_entries(_find_list(at.folder, at.listed), at.pictures, prefix, found)


def year_folder(root: Path, split: str) -> tuple[Path, str]:
    """The folder a split lies in and the name of its list; DataError that says where the folder was looked for."""
    year, _, listed = split.rpartition("/")
    names = [year] if year.startswith("VOC") or not year else [f"VOC{year}", year]
    candidates = [root / above / name for name in names for above in ("VOCdevkit", "")] if year else [root]
    for folder in candidates:
        if os.path.isdir(folder / "ImageSets"):
            return folder, listed
    looked = ", ".join(str(folder) for folder in candidates)
    raise DataError(
        f"split {split}: a folder with ImageSets/ was looked for at {looked}, and XML with its pictures at "
        f"{root / split}, and not found; {GET_VOC}"
    )


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


def _parse(pictures: Pictures, stems: Sequence[str]) -> dict[str, VocFile | DataError | None]:
    """What each annotation file holds, or why it cannot be read; None where there is no such file."""
    return dict(zip(stems, read_all(lambda stem: _parse_one(pictures.annotation_file(stem)), stems), strict=True))


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
        return [RawImage(prefix + pictures.picture_name(pictures.of_entry(stem, None)[0]), stem) for stem in stems]
    images = []
    for stem in stems:
        annotation, shown = parsed[stem], prefix + pictures.annotation_name(stem)
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
            images.append(RawImage(prefix + pictures.picture_name(picture), stem, annotation.size, annotation.boxes))
    return images


def _names(parsed: Mapping[str, VocFile | DataError | None]) -> set[str]:
    return {box.name for each in parsed.values() if isinstance(each, VocFile) for box in each.boxes} - {""}


def _occurring_names(
    root: Path, at: _Split, siblings: Iterable[str], parsed: Mapping[str, VocFile | DataError | None]
) -> set[str]:
    """The classes of all annotations that lists beside a split's name, and of other splits; those in `parsed` apart."""
    files: dict[str, None] = {}
    others = [each for other in siblings if (each := _sibling(root, at, other)) is not None]
    for each in {(each.folder, each.pair): each for each in (*others, at)}.values():
        files |= dict.fromkeys(map(each.pictures.annotation_file, _all_entries(each)))
    for stem in parsed:
        files.pop(at.pictures.annotation_file(stem), None)
    return set().union(*read_all(_names_or_none, list(files)))


def _sibling(root: Path, at: _Split, other: str) -> _Split | None:
    """Another split, which need not be there: whether it must be, who reads it says. DataError where no year is."""
    try:
        return _locate(root, other)
    except DataError:
        if at.pair is not None:
            return None
        folder, listed = year_folder(root, other)
        return _Split(folder, listed, Pictures(folder))


def _all_entries(at: _Split) -> Iterable[str]:
    """What stands in the folder of a split, or in any list beside its own."""
    if at.pair is not None:
        return entries_of(at.folder, at.pair)
    listed: dict[str, None] = {}
    for file in list_files(at.folder):
        try:
            listed |= dict.fromkeys(read_entries(file, at.pictures, "", []))
        except DataError:
            continue  # a text of another kind; the list that was asked for is read elsewhere
    return listed


def _names_or_none(file: str) -> set[str]:
    try:
        return class_names_of(file)
    except DataError:
        return set()  # told with the split that it is of


def has_split(root: Path, split: str) -> bool:
    """Whether the list of a split is there, or its folder."""
    try:
        _locate(root, split)
    except DataError:
        return False
    return True
