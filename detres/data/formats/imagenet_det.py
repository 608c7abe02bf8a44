"""ImageNet DET: 200 classes in ILSVRC's folders, annotated in VOC's XML by synset.

Below the root, or below ILSVRC/ in it, as the archives of 2015 and later (and Kaggle's) unpack:

    ImageSets/DET/train_1.txt … train_200.txt   NAME LABEL: 1 the class is there, -1 it is not, 0 not all of it is boxed
    ImageSets/DET/val.txt, test.txt             NAME NUMBER
    Annotations/DET/train/NAME.xml, val/NAME.xml
    Data/DET/train/NAME.JPEG, val/, test/

Boxes are inclusive pixels counted from 0. Labels follow the devkit's order of the classes, which is that of
imagenet_det_classes.txt (a line a class: its synset and the devkit's name of it).
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path

import numpy as np

from detres.data.classes import select_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawBox, RawImage, index_images
from detres.data.formats.format import Format, Recognized
from detres.data.formats.voc.xml import VocFile, parse_annotation
from detres.data.inside import below
from detres.data.problems import Problem, ProblemKind
from detres.errors import DataError
from detres.files.many import read_all
from detres.files.text import read_lines

GET_DET = (
    "ImageNet DET is ILSVRC2017_DET.tar.gz of image-net.org (55 GB, with an account); unpacked there, it has "
    "ILSVRC/Annotations/DET, ILSVRC/Data/DET and ILSVRC/ImageSets/DET"
)

_FOLDERS = ("ILSVRC", "ILSVRC2017", "ILSVRC2015", ".")
_SHOWN = 3
_PARTS = ("train/", "val/", "test/")

# Lists of val and test number their images from 1.
_NUMBERED = re.compile(r"\s+-?\d+$")


@cache
def det_classes() -> dict[str, str]:
    """The 200 classes' names by synset, in the order of the labels."""
    lines = (files("detres.data.formats") / "imagenet_det_classes.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines)


def load_imagenet_det(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    exif: bool = True,
    max_pixels: int | None = None,
    strict: bool | None = None,
) -> AnnotatedImages:
    """The images of one list, with boxes where they are annotated (test's are not).

    split: a list of ImageSets/DET without its ending (val), or a text file of image names by its path from the root:
    so come val1 and val2, which everybody has from somewhere. train is every image that is a positive of one of
    train_1.txt to train_200.txt, in their order; train:1000 takes a thousand positives of a class at most, spread
    evenly over its list, which balances the classes (val1+train_N in arXiv:1311.2524, section 4.3, counts boxes).
    Raises DataError where a list is missing, or names an image of val or test that is not there and strict is not
    stated to be False.
    """
    base = _base_folder(root)
    stated = _train_names(base, split) if split.split(":")[0] == "train" else _read_names(_find_list(root, base, split))
    prefix = "" if base == root else f"{base.relative_to(root).as_posix()}/"
    found: list[Problem] = []
    names = _names_below(stated, base, split, found)
    if strict is not False:
        _refuse_absent(base, names, split)
    images = _raw_images(base, prefix, names, found)
    return index_images(
        images,
        name=f"imagenet-det-{Path(split).stem.replace(':', '-')}",
        root=root,
        known_classes=tuple(det_classes().values()),
        classes=select_classes(classes, tuple(det_classes().values()), f"ImageNet DET {split}"),
        exif=exif,
        max_pixels=max_pixels,
        strict=bool(strict),
        problems=found,
    )


def _base_folder(root: Path) -> Path:
    for name in _FOLDERS:
        if os.path.isdir(root / name / "ImageSets" / "DET"):
            return root / name
    looked = ", ".join(str(root / name / "ImageSets" / "DET") for name in _FOLDERS)
    raise DataError(f"ImageNet DET was looked for at {looked} and not found; {GET_DET}")


def _find_list(root: Path, base: Path, split: str) -> Path:
    lists = base / "ImageSets" / "DET"
    candidates = [lists / f"{split}.txt", root / split, root / f"{split}.txt"]
    for file in candidates:
        if os.path.isfile(file):
            return file
    there = sorted(path.stem for path in lists.glob("*.txt") if not path.stem.startswith("train_"))
    mend = "; its images are a matter of convention, bring the list you compare by" if split in ("val1", "val2") else ""
    raise DataError(
        f"split {split}: a list of image names was looked for at {', '.join(map(str, candidates))} and not found; "
        f"there are train, {', '.join(there) or 'no others'}{mend}. {GET_DET}"
    )


def _read_names(file: Path) -> list[str]:
    """What stands before the number, as PART/NAME without an ending; without a part, the name tells which."""
    names = [_NUMBERED.sub("", line.replace("\\", "/")).removesuffix(".JPEG") for line in read_lines(file)]
    return [name if name.startswith(_PARTS) else f"{_part_of(name)}/{name}" for name in names]


def _names_below(stated: list[str], base: Path, split: str, found: list[Problem]) -> list[str]:
    """The names that stay in the folders of annotations and images."""
    images = base / "Data" / "DET"
    plain = [below(name, images) for name in stated]
    names = [name if name is not None and name.startswith(_PARTS) else None for name in plain]
    detail = "a name that leads out of Data/DET; left out"
    lost = [name for name, kept in zip(stated, names, strict=True) if kept is None]
    found += [Problem("name outside the set", split, f"{name[:60]!r}: {detail}", costs_image=True) for name in lost]
    return [name for name in names if name is not None]


def _part_of(name: str) -> str:
    return next((part for part in ("val", "test") if f"_{part}_" in name), "train")


def _train_names(base: Path, split: str) -> list[str]:
    limit = _limit_of(split)
    names: dict[str, None] = {}
    for number in range(1, len(det_classes()) + 1):
        file = base / "ImageSets" / "DET" / f"train_{number}.txt"
        if not os.path.isfile(file):
            raise DataError(f"{file}: there is no such list; train is made of train_1.txt to train_200.txt")
        positives = [row[0] for row in map(str.split, read_lines(file)) if row[-1] == "1"]
        if limit is not None and len(positives) > limit:
            # Evenly, because images of one source stand together in a list.
            positives = [positives[place] for place in np.linspace(0, len(positives) - 1, limit).round().astype(int)]
        names.update(dict.fromkeys(f"train/{name}" for name in positives))
    return list(names)


def _limit_of(split: str) -> int | None:
    _, colon, limit = split.partition(":")
    if not colon:
        return None
    if not limit.isdecimal() or int(limit) == 0:
        raise DataError(f"split {split}: expected train, or train:N for N positives of a class at most")
    return int(limit)


def _raw_images(base: Path, prefix: str, names: list[str], found: list[Problem]) -> list[RawImage]:
    if names and all(name.startswith("test/") for name in names):
        detail = f"its {len(names)} images are a test's; nothing can be measured on them"
        found.append(Problem("set without annotations", f"{prefix}Data/DET/test", detail))
        return [RawImage(f"{prefix}Data/DET/{name}.JPEG", _image_id(name)) for name in names]
    parsed = read_all(lambda name: _parse(base, prefix, name), names)
    images = []
    for name, annotation in zip(names, parsed, strict=True):
        if isinstance(annotation, Problem):
            found.append(annotation)
            continue
        shown = f"{prefix}Annotations/DET/{name}.xml"
        found += [Problem("annotation malformed", shown, slip) for slip in annotation.slips]
        boxes = [_named(box, annotation.size) for box in annotation.boxes]
        images.append(RawImage(f"{prefix}Data/DET/{name}.JPEG", _image_id(name), annotation.size, boxes))
    return images


def _image_id(name: str) -> str:
    return name.split("/", 1)[1]


def _refuse_absent(base: Path, names: list[str], split: str) -> None:
    """What is measured on a part of val2 looks like a figure of val2: its images are there, or it is not tested on."""
    folder = base / "Data" / "DET"
    absent = [n for n in names if not n.startswith("train/") and not os.path.isfile(folder / f"{n}.JPEG")]
    if absent:
        shown = ", ".join(f"{name}.JPEG" for name in absent[:_SHOWN]) + (", …" if len(absent) > _SHOWN else "")
        raise DataError(
            f"split {split}: {len(absent)} of its {len(names)} images are not in {folder} ({shown}); unpack the rest, "
            "bring a list of what is there, or leave them out with data.strict=false"
        )


def _parse(base: Path, prefix: str, name: str) -> VocFile | Problem:
    file = base / "Annotations" / "DET" / f"{name}.xml"
    try:
        return parse_annotation(file, first_pixel=0)
    except DataError as error:
        kind: ProblemKind = "annotation malformed" if os.path.isfile(file) else "annotation missing"
        detail = f"{str(error).removeprefix(f'{file}: ')}; its image is left out"
        return Problem(kind, f"{prefix}Annotations/DET/{name}.xml", detail, costs_image=True)


def _named(box: RawBox, size: tuple[int, int] | None) -> RawBox:
    """The box under its class's name; one that ends on the pixel behind the last ends at the edge."""
    box.name = det_classes().get(box.name, box.name)
    if size is not None:
        x1, y1, x2, y2 = box.xyxy
        height, width = size
        box.xyxy = (x1, y1, width if x2 == width + 1 else x2, height if y2 == height + 1 else y2)
    return box


def recognize_imagenet_det(place: Path) -> Recognized | None:
    """ILSVRC's folders; of their test nothing is annotated."""
    base = next((place / name for name in _FOLDERS if os.path.isdir(place / name / "ImageSets" / "DET")), None)
    if base is None:
        return None
    lists = base / "ImageSets" / "DET"
    train = ("train",) if os.path.isfile(lists / "train_1.txt") else ()
    val = ("val",) if os.path.isfile(lists / "val.txt") else ()
    return Recognized(place, "lists in ImageSets/DET/", train=train, val=val) if train or val else None


IMAGENET_DET = Format(
    load_imagenet_det,
    lambda splits: GET_DET,
    lambda: tuple(det_classes().values()),
    recognize=recognize_imagenet_det,
    known_by="lists in ImageSets/DET/",
)
