"""From what a format's reader found to checked flat arrays: the only place where annotations are judged.

What is bad is clipped or left out, and listed. I images, T boxes, K classes.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.data.classes import look_alikes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.repeated_boxes import repeated_rows
from detres.data.images.reading import ImageHeader, read_header
from detres.data.packing import pack_names
from detres.data.problems import HARMLESS, Problem, ProblemKind
from detres.errors import DataError
from detres.files.many import read_all
from detres.words import number_of

# Coordinates are written with two decimals or as whole pixels: less than this beyond an edge is rounding, no mistake.
OUTSIDE_TOLERANCE = 0.5

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_PROBLEMS_SHOWN = 20


@dataclass(slots=True)
class RawBox:
    """One annotation as a file has it: xyxy continuous pixels, unclipped; area None means width times height."""

    name: str
    xyxy: tuple[float, float, float, float]
    difficult: bool = False
    crowd: bool = False
    truncated: bool = False
    area: float | None = None


@dataclass(slots=True)
class RawImage:
    """One image as a file has it: file is relative to the root; size is (height, width), None where not stated."""

    file: str
    image_id: int | str
    size: tuple[int, int] | None = None
    boxes: list[RawBox] = field(default_factory=list)


def index_images(
    images: Sequence[RawImage],
    *,
    name: str,
    root: Path,
    known_classes: Sequence[str],
    classes: Sequence[str],
    category_ids: Sequence[int | str] | None = None,
    exif: bool = True,
    max_pixels: int | None = None,
    strict: bool | None = False,
    problems: Sequence[Problem] = (),
) -> AnnotatedImages:
    """Check every image and box, and pack what is good.

    known_classes: the classes of the set; any other is a problem. classes: those of them that are wanted, in the order
    of the labels; boxes of the rest are left out in silence. problems: what the reader found already.
    Raises DataError where no image is left, and with strict where there is any problem.
    """
    found = list(problems)
    found += [
        Problem("class names look alike", name, f"{', '.join(map(repr, names))} are read as classes of their own")
        for names in look_alikes(known_classes)
    ]
    kept, sizes, turned = _check_images(images, root, exif, max_pixels, found)
    packed = _check_boxes(kept, sizes, known_classes, classes, found)
    found += _repeated_files(kept)
    if strict:
        _refuse(found, name)
    if not kept:
        raise DataError(f"{name}: no image can be used below {root}" + listed(found))
    file_names, file_offsets = pack_names([image.file for image in kept])
    return AnnotatedImages(
        name=name,
        root=root,
        class_names=tuple(classes),
        category_ids=None if category_ids is None else tuple(category_ids),
        file_names=file_names,
        file_offsets=file_offsets,
        image_ids=ids_array([image.image_id for image in kept]),
        sizes=sizes,
        turned=turned,
        max_pixels=max_pixels,
        problems=tuple(found),
        **packed,
    )


def _check_images(
    images: Sequence[RawImage], root: Path, exif: bool, max_pixels: int | None, found: list[Problem]
) -> tuple[list[RawImage], NDArray[np.int64], NDArray[np.bool_]]:
    """The images that can be read and whose size is not in doubt, with size as read and whether EXIF is applied."""
    headers = read_all(lambda image: _header_of(image, root, max_pixels), images)
    kept, sizes, turned = [], [], []
    ids: dict[int | str, str] = {}
    for image, header in zip(images, headers, strict=True):
        if isinstance(header, Problem):
            found.append(replace(header, file=image.file))
            continue
        if image.image_id in ids:
            found.append(_of_known_id(image, ids[image.image_id]))
            continue
        turn = _settle_turn(image, header, exif, found)
        if turn is None:
            continue
        ids[image.image_id] = image.file
        kept.append(image)
        sizes.append(header.size_as_read(turn))
        turned.append(turn)
    return kept, np.array(sizes, dtype=np.int64).reshape(-1, 2), np.array(turned, dtype=bool)


def _header_of(image: RawImage, root: Path, max_pixels: int | None) -> ImageHeader | Problem:
    """The header of an image's file; where only the other form of its accents is there, the image gets that name."""
    header = _header(os.path.join(root, image.file), max_pixels)
    if isinstance(header, Problem) and header.kind == "image missing":
        for name in other_forms(image.file):
            if os.path.isfile(os.path.join(root, name)):
                image.file = name
                return _header(os.path.join(root, name), max_pixels)
    return header


def other_forms(name: str) -> list[str]:
    """A name in Unicode's other normal forms: macOS and some archives write é as two characters, others as one."""
    return [] if name.isascii() else sorted({unicodedata.normalize(form, name) for form in ("NFC", "NFD")} - {name})


def _header(path: str, max_pixels: int | None) -> ImageHeader | Problem:
    try:
        return read_header(path, max_pixels=max_pixels)
    except DataError as error:
        kind: ProblemKind = "image unreadable" if os.path.exists(path) else "image missing"
        return Problem(kind, "", f"{str(error).removeprefix(f'{path}: ')}; left out", costs_image=True)


def ids_array(ids: Sequence[int | str]) -> NDArray:
    """int64, or text where any id is text or has more than 64 bits: never objects, never rounded."""
    if all(isinstance(each, int) and _SMALLEST <= each <= _LARGEST for each in ids):
        return np.array(ids, dtype=np.int64)
    return np.array([str(each) for each in ids])


def _of_known_id(image: RawImage, file: str) -> Problem:
    if image.file == file:
        return Problem("image repeated", file, "it is listed twice; read once")
    return Problem(
        "image id twice", image.file, f"its id {image.image_id} is that of {file}; left out", costs_image=True
    )


def _repeated_files(images: Sequence[RawImage]) -> list[Problem]:
    """Files that are listed under more ids than one, as in a file merged of two; all of them are kept."""
    first = {image.file: image for image in reversed(images)}
    if len(first) == len(images):
        return []
    return [
        Problem("image repeated", image.file, f"listed as {first[image.file].image_id} and {image.image_id}; both kept")
        for image in images
        if first[image.file] is not image
    ]


def _settle_turn(image: RawImage, header: ImageHeader, exif: bool, found: list[Problem]) -> bool | None:
    """Whether to apply EXIF orientation; None where the stated size fits neither way: its boxes cannot be trusted."""
    stated = image.size
    if stated is None or stated == header.size_as_read(exif):
        return exif
    if stated == header.size_as_read(not exif):
        how = "unturned" if exif else "turned"
        found.append(Problem("turned by EXIF", image.file, f"its boxes were drawn on the {how} image; it is read so"))
        return not exif
    if min(stated) <= 0:
        found.append(
            Problem("size disagrees", image.file, f"stated {_wh(stated)}; the file's {_wh(header.size)} is used")
        )
        return exif
    detail = f"stated {_wh(stated)}, the file is {_wh(header.size)}; left out"
    found.append(Problem("size disagrees", image.file, detail, costs_image=True))
    return None


def _check_boxes(
    images: Sequence[RawImage],
    sizes: NDArray[np.int64],
    known_classes: Sequence[str],
    classes: Sequence[str],
    found: list[Problem],
) -> dict[str, Any]:
    """Flat arrays of the good boxes, as AnnotatedImages names them."""
    label_of = {name: label for label, name in enumerate(classes)}
    known = set(known_classes) | set(classes)
    boxes = [box for image in images for box in image.boxes]
    owner = np.repeat(np.arange(len(images)), [len(image.boxes) for image in images])
    xyxy = np.fromiter(chain.from_iterable(box.xyxy for box in boxes), np.float64, 4 * len(boxes)).reshape(-1, 4)
    labels = np.array([label_of.get(box.name, -1) for box in boxes], dtype=np.int64)
    limits = sizes[owner][:, [1, 0, 1, 0]].astype(np.float64)
    finite = np.asarray(np.isfinite(xyxy).all(axis=1))
    xyxy = np.where(finite[:, None], xyxy, 0.0)
    sides, clipped = _sides(xyxy), np.clip(xyxy, 0.0, limits)
    # The float32 box is what is learned: its area is the one that must not vanish.
    final = clipped.astype(np.float32)
    beyond = np.abs(xyxy - clipped).max(axis=1, initial=0.0) > OUTSIDE_TOLERANCE
    flat, gone = (np.asarray(~(each > 0).all(axis=1)) for each in (sides, _sides(final)))
    strange = labels < 0
    strange[strange] = [boxes[i].name not in known for i in np.flatnonzero(strange)]
    for i in np.flatnonzero(strange | ~finite | gone | beyond):
        kind, what = _judge(boxes[i], strange[i], not finite[i], flat[i], gone[i])
        found.append(Problem(kind, images[owner[i]].file, what))
    crowd = np.array([box.crowd for box in boxes], dtype=bool)
    difficult = np.array([box.difficult for box in boxes], dtype=bool)
    good = finite & ~gone & (labels >= 0)
    for row in repeated_rows(owner, labels, xyxy, crowd | difficult, good):
        good[row] = False
        found.append(Problem("box stands twice", images[owner[row]].file, f"{_where(boxes[row])}; kept once"))
    stated = np.array([np.nan if box.area is None else box.area for box in boxes], dtype=np.float64)
    with np.errstate(over="ignore"):
        products = sides.prod(axis=1)
    # Sides whose product is no number are no image's: what is left of them is.
    products = np.where(np.isfinite(products), products, _sides(final).astype(np.float64).prod(axis=1))
    counts = np.bincount(owner[good], minlength=len(images))
    return {
        "offsets": np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        "boxes": final[good],
        "labels": labels[good],
        "ignore": (crowd | difficult)[good],
        "crowd": crowd[good],
        "truncated": np.array([box.truncated for box in boxes], dtype=bool)[good],
        "areas": np.where(np.isnan(stated), products, stated)[good],
        "annotated": np.concatenate([xyxy[:, :2], sides], axis=1)[good],
    }


def _judge(box: RawBox, strange: bool, not_finite: bool, flat: bool, gone: bool) -> tuple[ProblemKind, str]:
    where = _where(box)
    if strange:
        return "unknown class", f"{where}; left out"
    if not_finite:
        return "annotation malformed", f"{where}; left out"
    if flat:
        return "box without area", f"{where}; left out"
    return "box outside the image", f"{where}; {'left out' if gone else 'clipped'}"


def _where(box: RawBox) -> str:
    return f"{box.name} at {', '.join(f'{value:g}' for value in box.xyxy)}"


def _sides(boxes: NDArray) -> NDArray:
    return boxes[:, 2:] - boxes[:, :2]


def _refuse(found: Sequence[Problem], name: str) -> None:
    bad = [problem for problem in found if problem.kind not in HARMLESS]
    if bad:
        raise DataError(
            f"{name}: {number_of(len(bad), 'problem')}, and data.strict=true accepts none. Mend them (`detres "
            "check_data --fix DIR` writes a cleaned copy) or set data.strict=false, which leaves them out:"
            + listed(bad)
        )


def listed(found: Sequence[Problem]) -> str:
    """A line for each of the first problems, to end a message with."""
    lines = [f"\n  {problem}" for problem in found[:_PROBLEMS_SHOWN]]
    more = len(found) - _PROBLEMS_SHOWN
    return "".join(lines) + (f"\n  and {more} more" if more > 0 else "")


def _wh(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
