"""Writing VOC's XML: the inverse of voc.parse_annotation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree


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
