"""One annotation file in VOC's XML: the only reader of these, for boxes and for class names alike.

VOC's boxes are inclusive pixels counted from 1: xmin, ymin, xmax, ymax become xmin - 1, ymin - 1, xmax, ymax.
"""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from detres.data.classes import class_name
from detres.data.detection.indexing import RawBox
from detres.data.values import finite_number, flag
from detres.errors import DataError
from detres.files.text import decode_text

# An image's annotation: 13,000 boxes. What a parser makes of a file of nothing but tags is fifty times its size.
_MOST_BYTES = 4 * 2**20

# Declarations that make a small file large, in the forms a parser may meet them. No annotation has any.
_BOMBS = [text.encode(form) for text in ("<!ENTITY", "<!ATTLIST") for form in ("ascii", "utf-16-le", "utf-16-be")]

_DECLARED = re.compile(rb"""<\?xml[^>]{0,100}encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["'][^>]{0,100}\?>""")
# Encodings of several bytes a letter, which the parser does not know.
_SEVERAL_BYTES = frozenset(
    {
        *("gb2312", "gbk", "gb18030", "cp936", "big5", "cp950"),
        *("shift_jis", "sjis", "cp932", "euc-jp", "euc-kr", "cp949"),
    }
)


@dataclass(frozen=True)
class VocFile:
    """One annotation file; size is (height, width) or None where it states none.

    slips: values that are no values, and what was taken instead.
    """

    file_name: str | None
    size: tuple[int, int] | None
    boxes: list[RawBox]
    slips: list[str] = field(default_factory=list)


def parse_annotation(file: str | Path, *, first_pixel: int = 1) -> VocFile:
    """One XML file. DataError where it is no annotation; a box with a coordinate that is no number gets nan.

    first_pixel: what an image's first pixel is called; 1 in VOC.
    """
    top = _read_annotation(file)
    slips: list[str] = []
    return VocFile(
        file_name=(top.findtext("filename") or "").strip() or None,
        size=_read_size(top.find("size"), slips),
        boxes=[_parse_object(item, first_pixel, slips) for item in top.iter("object")],
        slips=slips,
    )


def class_names_of(file: str) -> set[str]:
    """The classes that parse_annotation would give boxes of this file. DataError where it is no annotation."""
    return {_name_of(item) for item in _read_annotation(file).iter("object")} - {""}


def _read_annotation(file: str | Path) -> ElementTree.Element:
    """The top of an annotation: XML of another kind has no objects, and is not an image without any."""
    top = _read_tree(file)
    if _plain(top.tag) != "annotation":
        raise DataError(f"{file}: this is no VOC annotation: it is a <{top.tag[:40]}>, not an <annotation>")
    tags = {element.tag for element in top.iter()}
    others = sorted(tag for tag in tags if tag != "object" and _plain(tag) == "object")
    if "object" not in tags:
        others += sorted(tag for tag in tags if _plain(tag) in ("bndbox", "box"))
    if others:
        raise DataError(f"{file}: it has a <{others[0][:40]}> where VOC has <object> with <bndbox> in it; convert it")
    return top


def _plain(tag: str) -> str:
    """A tag in small letters, without the namespace that it may stand in."""
    return tag.rpartition("}")[2].lower()


def _read_tree(file: str | Path) -> ElementTree.Element:
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{file}: this is no file")
        if status.st_size > _MOST_BYTES:
            raise DataError(f"{file}: it is larger than {_MOST_BYTES >> 20} MiB, and no annotation of one image")
        with open(file, "rb") as stream:
            content = stream.read()
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: cannot be read: {error}") from None
    if any(bomb in content for bomb in _BOMBS):
        raise DataError(f"{file}: it declares entities or attributes of its own, which no annotation needs; left alone")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        # A text is parsed as it is, whatever encoding its first line states.
        text = _decode(content, str(file))
        try:
            return ElementTree.fromstring(text)
        except (ElementTree.ParseError, ValueError):
            raise DataError(f"{file}: this is no XML: {error}") from None


def _decode(content: bytes, where: str) -> str:
    """What a parser of XML could not decode: an encoding of several bytes a letter, or UTF-8 that says it is UTF-16.

    Raises DataError that names the encoding where the file states none and is no UTF-8.
    """
    match = _DECLARED.match(content)
    stated = match[1].decode().lower() if match else ""
    if stated in _SEVERAL_BYTES:
        try:
            return content.decode(stated)
        except UnicodeDecodeError as error:
            raise DataError(f"{where}: it says it is {stated}, and is not (byte {error.start})") from None
    return decode_text(content, where)


def _read_size(size: ElementTree.Element | None, slips: list[str]) -> tuple[int, int] | None:
    if size is None:
        return None
    texts = [(size.findtext(side) or "").strip() for side in ("height", "width")]
    height, width = (finite_number(text) for text in texts)
    if height is not None and width is not None:
        return int(height), int(width)
    if any(texts):
        slips.append(f"its size is {texts[1][:20]!r} by {texts[0][:20]!r}, no two numbers; the file's is used")
    return None


def _parse_object(item: ElementTree.Element, first_pixel: int, slips: list[str]) -> RawBox:
    # One step at a time: a path such as bndbox/xmin takes several times as long, and there are millions of them.
    box = item.find("bndbox")
    x1, y1, x2, y2 = (_number(box, corner) for corner in ("xmin", "ymin", "xmax", "ymax"))
    # Inclusive pixels would make a box that ends where it begins one pixel wide: nobody draws that, it is a slip.
    wide = 0.0 if x2 <= x1 or y2 <= y1 else 1.0
    low, high = first_pixel * wide, (1 - first_pixel) * wide
    name = _name_of(item)
    return RawBox(
        name=name,
        xyxy=(x1 - low, y1 - low, x2 + high, y2 + high),
        difficult=_flag(item, "difficult", name, slips),
        truncated=_flag(item, "truncated", name, slips),
    )


def _name_of(item: ElementTree.Element) -> str:
    return class_name(item.findtext("name") or "")


def _number(element: ElementTree.Element | None, tag: str) -> float:
    number = None if element is None else finite_number(element.findtext(tag))
    return math.nan if number is None else number


def _flag(item: ElementTree.Element, tag: str, name: str, slips: list[str]) -> bool:
    text = item.findtext(tag)
    value = flag(text)
    if value is None:
        slips.append(f"{tag} of a {name} is {(text or '').strip()[:20]!r}, expected 0 or 1; taken for 0")
    return bool(value)
