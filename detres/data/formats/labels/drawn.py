"""From what a label file says to annotated images: pictures are found, shares become pixels, classes are gathered.

A format of this room is a function that reads one split to `DrawnImage`s; everything else is done here.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from detres.data.classes import NO_CLASS, class_name, select_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawBox, RawImage, index_images
from detres.data.formats.labels.pictures import Pictures
from detres.data.formats.labels.splits import SplitPlace, place_of_split
from detres.data.images.reading import ImageHeader, read_header
from detres.data.problems import Problem, ProblemKind
from detres.data.values import excerpt, finite_number, stem_ids
from detres.errors import DataError
from detres.files.many import read_all
from detres.words import number_of

# As COCO's reader asks: boxes of a whole image may end a little beyond its sides, and a few boxes may be tiny.
_LARGEST_SHARE = 1.001
_FEWEST_SHARES = 5
_LONGEST_LABEL = 1000


@dataclass(slots=True)
class DrawnImage:
    """One image as a label file has it.

    names: what its picture may be called, the likeliest first. size: (height, width) that the file states. shares:
    whether boxes are in shares of the picture's sides, else in pixels. optional: whether people have a part of the set:
    pictures that are not there are told in one line.
    """

    names: tuple[object, ...]
    boxes: list[RawBox] = field(default_factory=list)
    size: tuple[int, int] | None = None
    shares: bool = False
    optional: bool = False


Read = Callable[[SplitPlace, list[Problem]], list[DrawnImage]]


@dataclass
class Slips:
    """What is wrong with a label file, told with its place in it. where: what problems call the file."""

    where: str
    found: list[Problem]
    others: Counter[str] = field(default_factory=Counter)

    def other(self, kind: object) -> None:
        """Count a shape that is drawn on purpose, and has no box."""
        self.others[str(excerpt(kind))] += 1

    def tell_others(self) -> None:
        """One line for each kind of these."""
        for kind, count in self.others.items():
            self.add(f"{count} shapes of kind {kind} have no box", kind="label of other meaning")

    def add(self, what: str, *, kind: ProblemKind = "annotation malformed", costs_image: bool = False) -> None:
        self.found.append(Problem(kind, self.where, f"{what}; left out", costs_image))


def loader_of(
    read: Read, order: Callable[[SplitPlace], Sequence[str]] | None = None, *, names_all: bool = True
) -> Callable[..., AnnotatedImages]:
    """The `load` of a format of this room, with (root, split) and the keys of the data section that all of it heed.

    read: what the split's label file holds; what is wrong with it is added to the problems. order: the classes that the
    set lists, which come first and as they are listed; all others are sorted. names_all: whether a file is meant to
    name every picture of the set, so that others are told.
    What it makes raises DataError where the file cannot be read, names no class, or no image of it can be used.
    """

    def load(
        root: Path,
        split: str,
        *,
        classes: Sequence[str] | None = None,
        exif: bool = True,
        max_pixels: int | None = None,
        strict: bool | None = False,
        sibling_splits: Iterable[str] = (),
    ) -> AnnotatedImages:
        """The images of one split. sibling_splits: others, whose classes count, so that all agree on the labels."""
        found: list[Problem] = []
        place = place_of_split(root, split)
        siblings = dict.fromkeys(sibling for sibling in sibling_splits if sibling != split)
        drawn = read(place, found)
        pictures = _pictures_of(place)
        images = _raw_images(drawn, place, pictures, exif, max_pixels, found)
        if names_all and place.subset is None and not siblings and not any(image.optional for image in drawn):
            found += _left_over(pictures, images, place)
        listed = list(order(place)) if order is not None else []
        names = {box.name for image in drawn for box in image.boxes}
        for sibling in siblings:
            names |= _names_of(read, root, sibling)
        known = list(dict.fromkeys([*listed, *sorted(names)]))
        if not known:
            raise DataError(f"{place.file}: {NO_CLASS}")
        return index_images(
            images,
            name=f"{root.name}-{_split_name(place)}",
            root=root,
            known_classes=known,
            classes=select_classes(classes, known, str(place.file)),
            exif=exif,
            max_pixels=max_pixels,
            strict=strict,
            problems=found,
        )

    return load


def label_name(value: object) -> str | None:
    """A label as a class's name; None where it is none: no text nor number, nothing, or half a character."""
    if isinstance(value, int | float):
        return None if finite_number(value) is None else str(value)
    if not isinstance(value, str) or len(value) > _LONGEST_LABEL:
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return class_name(value) or None


def quoted(value: object, most: int = 60) -> str:
    """A value of a file as a message may hold it."""
    text = repr(excerpt(value))
    return text if len(text) <= most else f"{text[:most]}…"


def image_size(height: object, width: object) -> tuple[int, int] | None:
    """The size that a file states; None where it states none, or one that is no size."""
    rows, columns = finite_number(height), finite_number(width)
    if rows is None or columns is None or min(rows, columns) < 1 or max(rows, columns) > 2**31:
        return None
    return round(rows), round(columns)


def _names_of(read: Read, root: Path, sibling: str) -> set[str]:
    try:
        return {box.name for image in read(place_of_split(root, sibling), []) for box in image.boxes}
    except DataError:
        return set()  # told with the split that it is


def _split_name(place: SplitPlace) -> str:
    """Exports call their files alike, and their folders as the split."""
    path = Path(place.shown)
    own = path.stem if path.stem.strip("_").split(".")[0] not in ("annotations", "") else path.parent.name
    return "-".join(part for part in (own or path.stem or "images", place.subset) if part)


def _raw_images(
    drawn: Sequence[DrawnImage],
    place: SplitPlace,
    pictures: Pictures,
    exif: bool,
    max_pixels: int | None,
    found: list[Problem],
) -> list[RawImage]:
    root = place.root
    by_file: dict[str, DrawnImage] = {}
    absent = 0
    for image in drawn:
        file = pictures.place(*image.names)
        if isinstance(file, Problem):
            absent += image.optional and file.kind == "name outside the set"
            found += [] if image.optional and file.kind == "name outside the set" else [file]
        elif file in by_file:
            by_file[file].boxes += image.boxes
            found.append(Problem("image repeated", file, f"{place.shown} has it more than once; read as one"))
        elif not image.optional or os.path.isfile(os.path.join(root, file)):
            by_file[file] = image
        else:
            absent += 1
    if absent:
        detail = f"{absent} of its {len(drawn)} images are not there; left out with their boxes"
        found.append(Problem("file not read", place.shown, detail))
    if pictures.mended:
        detail = f"{pictures.mended} pictures lie elsewhere than it says; they are found by the ends of their paths"
        found.append(Problem("written otherwise", place.shown, detail))
    _ask_about_shares(by_file.values(), place, found)
    raws = read_all(lambda each: _raw_image(*each, root, exif, max_pixels), list(by_file.items()))
    for raw, image_id in zip(raws, stem_ids([raw.file for raw in raws]), strict=True):
        raw.image_id = image_id
    return raws


def _pictures_of(place: SplitPlace) -> Pictures:
    beside = place.file if os.path.isdir(place.file) else place.file.parent
    return Pictures(place.root, beside, place.images)


def _left_over(pictures: Pictures, images: Sequence[RawImage], place: SplitPlace) -> list[Problem]:
    """A line where pictures lie there that nothing is said of, which people may have forgotten to label."""
    named = {image.file for image in images}
    left = [file for file in pictures.all() if file not in named]
    if not left:
        return []
    detail = (
        f"it does not name {number_of(len(left), 'picture')} there, such as {left[0]}, which are no part of the set; "
        "what has nothing to find is named without a box"
    )
    return [Problem("pictures not named", place.shown, detail)]


def _raw_image(file: str, image: DrawnImage, root: Path, exif: bool, max_pixels: int | None) -> RawImage:
    if not image.shares:
        return RawImage(file, "", image.size, image.boxes)
    try:
        header = read_header(os.path.join(root, file), max_pixels=max_pixels)
    except DataError:
        return RawImage(file, "", None, [])  # index_images says so
    stated = image.size if image.size in _sizes(header) else None
    height, width = stated or header.size_as_read(exif)
    for box in image.boxes:
        x1, y1, x2, y2 = box.xyxy
        box.xyxy = (x1 * width, y1 * height, x2 * width, y2 * height)
    return RawImage(file, "", stated, image.boxes)


def _sizes(header: ImageHeader) -> tuple[tuple[int, int], tuple[int, int]]:
    return header.size_as_read(True), header.size_as_read(False)


def _ask_about_shares(images: Iterable[DrawnImage], place: SplitPlace, found: list[Problem]) -> None:
    """One line where no box of many reaches beyond the first pixel."""
    boxes = [box for image in images if not image.shares for box in image.boxes]
    if len(boxes) >= _FEWEST_SHARES and max(max(box.xyxy) for box in boxes) <= _LARGEST_SHARE:
        detail = (
            f"its {len(boxes)} boxes all lie within 0 to 1: they look like shares of the image, and are read as "
            "pixels; multiply them by the image's width and height"
        )
        found.append(Problem("boxes look like shares", place.shown, detail))
