"""PASCAL VOC: a year of the VOCdevkit, or any folder with Annotations/, JPEGImages/ and ImageSets/Main/.

VOC's boxes are inclusive pixels counted from 1: xmin, ymin, xmax, ymax become xmin - 1, ymin - 1, xmax, ymax.
A *year folder* is the one that holds Annotations/.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from detres.data.annotations import AnnotatedImages, Problem
from detres.data.classes import VOC_CLASSES, select_classes
from detres.data.images import IMAGE_SUFFIXES
from detres.data.indexing import RawBox, RawImage, index_images, read_all
from detres.errors import DataError

GET_VOC = "`python datasets/prepare_voc.py` says which files to download and unpacks them"

_OFFICIAL_YEAR = re.compile(r"VOC20(0[7-9]|1[0-2])")
# The boxes of these tests never came out. Annotations that lie beside them are other challenges', of some images.
_SECRET_TEST = re.compile(r"VOC20(0[89]|1[0-2])/test")


@dataclass(frozen=True)
class VocFile:
    """One annotation file; size is (height, width) or None where it states none."""

    file_name: str | None
    size: tuple[int, int] | None
    boxes: list[RawBox]


def load_voc(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    exif: bool = True,
    strict: bool = False,
    sibling_splits: Iterable[str] = (),
) -> AnnotatedImages:
    """The images of one list; `split` is YEAR/LIST (2007/trainval), or LIST where root is itself a year folder.

    Without `classes` a year from 2007 to 2012 has VOC's twenty; other folders have every name that occurs in any
    annotation of theirs and of those of `sibling_splits`, sorted, so that all splits agree on the labels.
    Raises DataError where a folder or a list is missing, or a class is.
    """
    folder, listed = year_folder(root, split)
    stems = _read_list(folder, listed)
    found: list[Problem] = []
    official, secret = _OFFICIAL_YEAR.fullmatch(folder.name), _SECRET_TEST.fullmatch(f"{folder.name}/{listed}")
    images = _raw_images(root, folder, stems, found, annotated=not secret)
    if official:
        known: Sequence[str] = VOC_CLASSES
    else:
        folders = dict.fromkeys([folder, *(year_folder(root, other)[0] for other in sibling_splits)])
        known = sorted({name for each in folders for name in _occurring_names(each)})
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
        strict=strict,
        problems=found,
    )


def year_folder(root: Path, split: str) -> tuple[Path, str]:
    """The folder a split lies in and the name of its list; DataError that says where the folder was looked for."""
    year, _, listed = split.rpartition("/")
    names = [year] if year.startswith("VOC") or not year else [f"VOC{year}", year]
    candidates = [root / above / name for name in names for above in ("VOCdevkit", "")] if year else [root]
    for folder in candidates:
        if (folder / "ImageSets").is_dir():
            return folder, listed
    looked = ", ".join(str(folder) for folder in candidates)
    raise DataError(f"split {split}: a folder with ImageSets/ was looked for at {looked} and not found; {GET_VOC}")


def parse_annotation(file: Path, *, first_pixel: int = 1) -> VocFile:
    """One XML file. DataError where it is no annotation; a box with a coordinate that is no number gets nan.

    first_pixel: what an image's first pixel is called; 1 in VOC.
    """
    try:
        top = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise DataError(f"{file}: this is no XML: {error}") from None
    width, height = (_number(top.find("size"), side) for side in ("width", "height"))
    stated = math.isfinite(width) and math.isfinite(height)
    return VocFile(
        file_name=top.findtext("filename"),
        size=(int(height), int(width)) if stated else None,
        boxes=[_parse_object(item, first_pixel) for item in top.iter("object")],
    )


def _parse_object(item: ElementTree.Element, first_pixel: int) -> RawBox:
    # One step at a time: a path such as bndbox/xmin takes several times as long, and there are millions of them.
    box = item.find("bndbox")
    x1, y1, x2, y2 = (_number(box, corner) for corner in ("xmin", "ymin", "xmax", "ymax"))
    # Inclusive pixels would make a box that ends where it begins one pixel wide: nobody draws that, it is a slip.
    wide = 0.0 if x2 <= x1 or y2 <= y1 else 1.0
    low, high = first_pixel * wide, (1 - first_pixel) * wide
    return RawBox(
        name=(item.findtext("name") or "").strip(),
        xyxy=(x1 - low, y1 - low, x2 + high, y2 + high),
        difficult=_number(item, "difficult") == 1,
        truncated=_number(item, "truncated") == 1,
    )


def _number(element: ElementTree.Element | None, tag: str) -> float:
    try:
        return math.nan if element is None else float(element.findtext(tag, "nan"))
    except ValueError:
        return math.nan


def _read_list(folder: Path, listed: str) -> list[str]:
    """The stems of a list; lists of one class (aeroplane_train.txt) have a second column, which is left aside."""
    file = folder / "ImageSets" / "Main" / f"{listed}.txt"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        there = sorted(path.stem for path in file.parent.glob("*.txt") if "_" not in path.stem)
        raise DataError(f"{file}: there is no such list; there are {', '.join(there) or 'none'}. {GET_VOC}") from None
    return [line.split()[0] for line in lines if line.strip()]


def _raw_images(
    root: Path, folder: Path, stems: Sequence[str], found: list[Problem], *, annotated: bool = True
) -> list[RawImage]:
    base = folder.relative_to(root).as_posix()
    prefix = "" if base == "." else f"{base}/"
    pictures = _pictures(folder)
    annotated = annotated and any((folder / "Annotations" / f"{stem}.xml").is_file() for stem in stems)
    if stems and not annotated:
        detail = f"none of its {len(stems)} images has one; nothing can be measured on it"
        found.append(Problem("set without annotations", f"{prefix}Annotations", detail))
        return [RawImage(f"{prefix}JPEGImages/{pictures.get(stem, f'{stem}.jpg')}", stem) for stem in stems]
    parsed = read_all(lambda stem: _parse_or_problem(folder, prefix, stem), stems)
    images = []
    for stem, annotation in zip(stems, parsed, strict=True):
        if isinstance(annotation, Problem):
            found.append(annotation)
            continue
        picture = pictures.get(stem) or annotation.file_name or f"{stem}.jpg"
        images.append(RawImage(f"{prefix}JPEGImages/{picture}", stem, annotation.size, annotation.boxes))
    return images


def _pictures(folder: Path) -> dict[str, str]:
    """Image files by stem: the annotation's <filename> is often wrong in sets that were renamed."""
    pictures = folder / "JPEGImages"
    names = sorted(path.name for path in pictures.iterdir()) if pictures.is_dir() else []
    return {Path(name).stem: name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES}


def _parse_or_problem(folder: Path, prefix: str, stem: str) -> VocFile | Problem:
    file = folder / "Annotations" / f"{stem}.xml"
    shown = f"{prefix}Annotations/{stem}.xml"
    if not file.is_file():
        return Problem("annotation missing", shown, "there is no such file; its image is left out", costs_image=True)
    try:
        return parse_annotation(file)
    except DataError as error:
        detail = f"{str(error).removeprefix(f'{file}: ')}; its image is left out"
        return Problem("annotation malformed", shown, detail, costs_image=True)


def _occurring_names(folder: Path) -> set[str]:
    names: set[str] = set()
    for file in sorted((folder / "Annotations").glob("*.xml")):
        # Read as text: a set of ten thousand files is gone through in a second.
        for block in re.findall(r"<object>.*?</object>", file.read_text(encoding="utf-8", errors="replace"), re.DOTALL):
            names.update(re.findall(r"<name>\s*([^<]*?)\s*</name>", block)[:1])
    return names - {""}
