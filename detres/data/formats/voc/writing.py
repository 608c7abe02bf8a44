"""Writing VOC: an annotation, the inverse of xml.parse_annotation, and a whole set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from detres.config.yaml_dialect import write_yaml
from detres.data.detection.annotations import AnnotatedImages
from detres.data.writing.boxes import corners_inside
from detres.data.writing.pictures import Splits, picture_names, place_pictures
from detres.files.whole import write_whole

_LEAST = 2
"""Pixels a side of a box: of one pixel are those that converters made of boxes without area, and are read as such."""


@dataclass(frozen=True)
class VocObject:
    """xyxy: continuous pixels; written as VOC's inclusive ones from 1."""

    name: str
    xyxy: tuple[float, float, float, float]
    difficult: bool = False
    truncated: bool = False


def write_annotation(file: Path, image_name: str, size: tuple[int, int], objects: Sequence[VocObject]) -> None:
    """One image's annotation; size is (height, width)."""
    top = ElementTree.Element("annotation")
    _text(top, "filename", image_name)
    shape = ElementTree.SubElement(top, "size")
    for name, value in (("width", size[1]), ("height", size[0]), ("depth", 3)):
        _text(shape, name, str(value))
    for each in objects:
        item = ElementTree.SubElement(top, "object")
        _text(item, "name", each.name)
        _text(item, "truncated", str(int(each.truncated)))
        _text(item, "difficult", str(int(each.difficult)))
        box = ElementTree.SubElement(item, "bndbox")
        x1, y1, x2, y2 = each.xyxy
        for name, edge in (("xmin", x1 + 1), ("ymin", y1 + 1), ("xmax", x2), ("ymax", y2)):
            _text(box, name, f"{edge:g}")
    ElementTree.indent(top)
    file.write_text(ElementTree.tostring(top, encoding="unicode") + "\n", encoding="utf-8")


def _text(parent: ElementTree.Element, name: str, text: str) -> None:
    ElementTree.SubElement(parent, name).text = text


def write_voc(splits: Splits, folder: Path, *, link: bool) -> list[str]:
    """Sets as VOC: Annotations/, JPEGImages/ and a list for each split, and a data.yaml with the order of the classes.

    Boxes are in whole pixels, as VOC's are.
    """
    names, described = picture_names(splits), dict[str, object](format="voc", root=".")
    rounded = crowds = 0
    (folder / "Annotations").mkdir(parents=True)
    for split, images in splits.items():
        corners = corners_inside(images)
        whole = _whole_pixels(corners, images)
        rounded += int((whole != corners).any(axis=1).sum())
        crowds += int(images.crowd.sum())
        place_pictures(images, names[split], folder / "JPEGImages", link=link)
        for i, name in enumerate(names[split]):
            rows = range(int(images.offsets[i]), int(images.offsets[i + 1]))
            objects = [_object(images, row, whole[row]) for row in rows]
            write_annotation(folder / "Annotations" / f"{Path(name).stem}.xml", name, images.size(i), objects)
        entries = "".join(f"{Path(name).stem}\n" for name in names[split])
        write_whole(folder / "ImageSets" / "Main" / f"{split}.txt", entries)
        described[split] = split
    known = next(iter(splits.values())).class_names
    occurring = sorted({int(label) for images in splits.values() for label in np.unique(images.labels)})
    used = [known[label] for label in occurring]
    without = [name for name in known if name not in used]
    described["classes"] = used
    write_whole(folder / "data.yaml", write_yaml(described))
    return [
        *([f"classes without a box, which VOC knows by their boxes alone: {', '.join(without)}"] if without else []),
        *([f"{rounded} boxes are rounded to whole pixels, as VOC's are"] if rounded else []),
        *([f"{crowds} crowd regions are written as difficult objects: VOC has no word for them"] if crowds else []),
    ]


def _whole_pixels(corners: NDArray[np.float64], images: AnnotatedImages) -> NDArray[np.float64]:
    low = np.floor(corners[:, :2] + 0.5)
    most = images.sizes[images.box_images()][:, ::-1]
    low = np.minimum(low, most - _LEAST)
    return np.concatenate([low, np.maximum(np.floor(corners[:, 2:] + 0.5), low + _LEAST)], axis=1)


def _object(images: AnnotatedImages, row: int, corners: NDArray[np.float64]) -> VocObject:
    x1, y1, x2, y2 = corners.tolist()
    name = images.class_names[int(images.labels[row])]
    return VocObject(name, (x1, y1, x2, y2), bool(images.ignore[row]), bool(images.truncated[row]))
