"""COCO's categories, images and annotations, entry by entry, into images with boxes; what is no such entry is told.

Converters and merges leave files in which ids are text, stand twice or mean nothing. The rules, each one counted:
an id of two different entries belongs to neither, and what refers to it is left out; an entry that stands twice as it
is is one entry; two categories of one name are one class; what cannot be read is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from detres.data.classes import class_name
from detres.data.detection.indexing import RawBox, RawImage
from detres.data.formats.coco.ids import IdIndex, id_order, read_id
from detres.data.formats.coco.ignore_marks import IGNORE_KEYS, ignored_as
from detres.data.formats.coco.json import Entry
from detres.data.formats.coco.places import ImagePlaces, shown
from detres.data.problems import Problem, ProblemKind
from detres.data.values import finite_number, flag, whole_number
from detres.errors import DataError

# Boxes of a whole image may end a little beyond its sides.
_LARGEST_SHARE = 1.001
_FEWEST_SHARES = 5

Content = Mapping[str, Sequence[Entry]]


@dataclass
class Complaints:
    """What is wrong with a file. where: what problems call it; file: what errors call it."""

    file: Path
    where: str
    problems: list[Problem] = field(default_factory=list)

    def add(self, kind: ProblemKind, detail: str, image: str | None = None, *, costs_image: bool = False) -> None:
        self.problems.append(Problem(kind, image or self.where, detail, costs_image))

    def refuse(self, detail: str) -> DataError:
        return DataError(f"{self.file}: an entry is not as COCO has it: {detail}; export it again")


@dataclass(frozen=True)
class Categories:
    """ids: of each class the id its boxes are written with, by ascending id. names: what each id of the file means.

    repeated: the further ids of classes that have several, and what they mean.
    """

    ids: Mapping[str, int | str]
    names: IdIndex[str]
    repeated: Mapping[int | str, str]


def read_categories(content: Content, complaints: Complaints) -> Categories:
    """The classes, without the umbrella category that Roboflow's exports begin with.

    Raises DataError where no entry has an id and a name.
    """
    called = _names_by_id(content["categories"], complaints)
    if content["categories"] and not called:
        raise complaints.refuse("each of its categories needs an id and a name")
    umbrellas = _umbrellas(content)
    ids: dict[str, int | str] = {}
    names: list[tuple[int | str, str]] = []
    for category_id in sorted(called, key=id_order):
        name, *more = called[category_id]
        if set(more) - {name}:
            both = " and ".join(dict.fromkeys([name, *more]))
            complaints.add("category id twice", f"id {category_id} is {both}; they are left out with their boxes")
            continue
        if more:
            complaints.add("category repeated", f"{name} (id {category_id}) stands twice; read as one")
        if umbrellas.get(str(category_id)) == name:
            complaints.add("empty supercategory", f"{name} (id {category_id}) has no boxes; left out")
            continue
        if name in ids:
            complaints.add("category repeated", f"{name} has the ids {ids[name]} and {category_id}; read as one class")
        ids.setdefault(name, category_id)
        names.append((category_id, name))
    return Categories(ids, IdIndex(names), {other: name for other, name in names if other != ids[name]})


def _names_by_id(categories: Sequence[Entry], complaints: Complaints) -> dict[int | str, list[str]]:
    """The names under each id; ids are told apart as text, and are what the first entry has."""
    first: dict[str, int | str] = {}
    called: dict[int | str, list[str]] = {}
    for entry in categories:
        category_id, name = read_id(entry.get("id")), _class_name(entry.get("name"))
        if category_id is None or name is None:
            what = f"category {shown(entry.get('id'))} is called {shown(entry.get('name'))}"
            complaints.add("annotation malformed", f"{what}; an id and a name are needed; left out")
        else:
            called.setdefault(first.setdefault(str(category_id), category_id), []).append(name)
    return called


def _class_name(value: Any) -> str | None:
    """Text, or a number as text; names go into files of ours, so that they can be no half characters."""
    if isinstance(value, int | float):
        return None if finite_number(value) is None else str(value)
    return class_name(value) or None if isinstance(value, str) and read_id(value) is not None else None


def _umbrellas(content: Content) -> dict[str, str]:
    """Names, by id, of the categories that are others' supercategory, have none themselves, and no boxes."""
    above = {parent for entry in content["categories"] if (parent := _class_name(entry.get("supercategory")))}
    found = {
        str(read_id(entry.get("id"))): name
        for entry in content["categories"]
        if entry.get("supercategory") in (None, "none") and (name := _class_name(entry.get("name"))) in above
    }
    if found:
        ids = [read_id(entry.get("id")) for entry in content["categories"]]
        index = IdIndex((known, str(known)) for known in ids if known is not None)
        for annotation in content["annotations"]:
            found.pop(index.find(annotation.get("category_id")) or "", None)
    return found


def name_by_address(images: Sequence[Entry]) -> None:
    """Give images that have no file_name the last two parts of their coco_url, as LVIS has it: train2017/a.jpg."""
    for entry in images:
        address = entry.get("coco_url")
        if "file_name" not in entry and isinstance(address, str):
            entry["file_name"] = "/".join(address.split("/")[-2:])


def read_images(
    content: Content, places: ImagePlaces, categories: Categories, complaints: Complaints
) -> list[RawImage]:
    """The images with their boxes, in the file's order. Raises DataError where no entry has an id and a file name."""
    read = [image for entry in content["images"] if (image := _read_image(entry, places, complaints)) is not None]
    if not any({"id", "file_name"} <= entry.keys() for entry in content["images"]):
        raise complaints.refuse("each of its images needs an id and a file_name")
    known, doubtful = _told_apart(read, complaints)
    index = IdIndex((image.image_id, image) for image in [*known, *(of_id[0] for of_id in doubtful)])
    _read_boxes(content["annotations"], index, categories.names, complaints)
    _ask_about_shares(known, complaints)
    for of_id in doubtful:
        image_id, boxes = of_id[0].image_id, len(of_id[0].boxes)
        for image in of_id:
            detail = f"its id {image_id} is that of {len(of_id)} images; they are left out with the id's {boxes} boxes"
            complaints.add("image id twice", detail, image.file, costs_image=True)
    if index.mended or categories.names.mended:
        counts = f"{index.mended} image ids and {categories.names.mended} category ids of annotations"
        detail = f"{counts} are text where the entries have numbers, or the reverse; they are matched"
        complaints.add("written otherwise", detail)
    if places.mended:
        detail = f"{places.mended} file names have backslashes, which are read as slashes"
        complaints.add("written otherwise", detail)
    return [image for image in known if image.file]


def _read_image(entry: Entry, places: ImagePlaces, complaints: Complaints) -> RawImage | None:
    """None for an entry without an id; one without a file is left out in the end, and its boxes with it."""
    image_id, name = read_id(entry.get("id")), entry.get("file_name")
    place = places.place(name)
    if image_id is not None and place is not None:
        return RawImage(place, image_id, _stated_size(entry, place, complaints))
    what = f"image {shown(entry.get('id'))}: file_name {shown(name)}"
    if image_id is None or not isinstance(name, str):
        complaints.add("annotation malformed", f"{what}; an id and a file name are needed; left out", costs_image=True)
    else:
        complaints.add(
            "image name unusable", f"{what} is no path, or leads out of the set (data.root); left out", costs_image=True
        )
    return None if image_id is None else RawImage("", image_id)


def _told_apart(read: Sequence[RawImage], complaints: Complaints) -> tuple[list[RawImage], list[list[RawImage]]]:
    """The images with an id of their own, and those of each id that several different ones have."""
    by_id: dict[str, list[RawImage]] = {}
    for image in read:
        by_id.setdefault(str(image.image_id), []).append(image)
    doubtful: list[list[RawImage]] = []
    if len(by_id) == len(read):
        return list(read), doubtful
    images = []
    for of_id in by_id.values():
        if any((image.file, image.size) != (of_id[0].file, of_id[0].size) for image in of_id[1:]):
            doubtful.append(of_id)
            continue
        images.append(of_id[0])
        if len(of_id) > 1:
            detail = f"its entry (id {of_id[0].image_id}) stands {len(of_id)} times; read as one"
            complaints.add("image repeated", detail, of_id[0].file)
    return images, doubtful


def _stated_size(entry: Entry, image: str, complaints: Complaints) -> tuple[int, int] | None:
    height, width = entry.get("height"), entry.get("width")
    if height is None or width is None:
        return None
    rows, columns = whole_number(height), whole_number(width)
    if rows is None or columns is None:
        detail = f"its width {shown(width)} and height {shown(height)} are no whole numbers; the file's own are used"
        complaints.add("annotation malformed", detail, image)
        return None
    return rows, columns


def _read_boxes(
    annotations: Sequence[Entry], images: IdIndex[RawImage], names: IdIndex[str], complaints: Complaints
) -> None:
    """Give every image its boxes."""
    for annotation in annotations:
        image = images.find(annotation.get("image_id"))
        if image is None:
            detail = (
                f"annotation {shown(annotation.get('id'))} is of image {shown(annotation.get('image_id'))}; left out"
            )
            complaints.add("unknown image", detail)
            continue
        box = _read_box(annotation, names)
        if isinstance(box, RawBox):
            image.boxes.append(box)
        else:
            detail = f"annotation {shown(annotation.get('id'))}: {box}; left out"
            complaints.add("annotation malformed", detail, image.file)


def _ask_about_shares(images: Sequence[RawImage], complaints: Complaints) -> None:
    """One line where no box of many reaches beyond the first pixel: converters write shares of the image's sides."""
    boxes = 0
    for image in images:
        for box in image.boxes:
            if max(box.xyxy) > _LARGEST_SHARE:
                return
        boxes += len(image.boxes)
    if boxes >= _FEWEST_SHARES:
        detail = (
            f"its {boxes} boxes all lie within 0 to 1: they look like shares of the image, and COCO's are pixels; "
            "multiply them by the image's width and height"
        )
        complaints.add("boxes look like shares", detail)


def _read_box(annotation: Entry, names: IdIndex[str]) -> RawBox | str:
    """The box, or what is wrong with it."""
    category_id, bbox = annotation.get("category_id"), annotation.get("bbox")
    sides = _four_numbers(bbox)
    if sides is None:
        return f"its bbox {shown(bbox)} is no list of four finite numbers"
    ignored = ignored_as(annotation)
    if ignored is None:
        key = next(key for key in IGNORE_KEYS if flag(annotation.get(key)) is None)
        return f"its {key} {shown(annotation[key])} is neither 0 nor 1"
    stated = annotation.get("area")
    area = None if stated is None else _area(stated)
    if stated is not None and area is None:
        return f"its area {shown(stated)} is no number of pixels"
    x, y, width, height = sides
    return RawBox(
        names.find(category_id) or f"category {shown(category_id)}",
        (x, y, x + width, y + height),
        ignored == "difficult",
        ignored == "crowd",
        False,
        area,
    )


def _four_numbers(value: Any) -> tuple[float, float, float, float] | None:
    if not isinstance(value, list) or len(value) != 4:
        return None
    x, y, width, height = value
    if (
        x.__class__ is float
        and y.__class__ is float
        and width.__class__ is float
        and height.__class__ is float
        and math.isfinite(x + y + width + height)
    ):
        return x, y, width, height
    numbers = [finite for number in value if (finite := finite_number(number)) is not None]
    if len(numbers) < len(value):
        return None
    x, y, width, height = numbers
    return x, y, width, height


def _area(value: Any) -> float | None:
    area = value if value.__class__ is float and math.isfinite(value) else finite_number(value)
    return None if area is None or area < 0 else area
