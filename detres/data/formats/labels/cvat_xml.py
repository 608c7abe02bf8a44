"""CVAT's XML 1.1 as a stream of shapes: a file of a long video has millions, of which no tree is built."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from detres.errors import DataError

# A million boxes have 150 MB.
_MOST_BYTES = 1 << 30
# What of a mask fills a file, and is not read.
_NOT_KEPT = "rle"
# Of the text within <meta> and <attribute> as much as a number or a name has.
_MOST_TEXT = 1000
_MOST_META = 10_000
_DEEPEST = 30


@dataclass(slots=True)
class Shape:
    """kind: its tag, such as box. values: its XML attributes. attributes: what the user states of it, by name."""

    kind: str
    values: dict[str, str]
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Holder:
    """An <image>, or a <track> through the frames of a video, and the shapes in it."""

    values: dict[str, str]
    shapes: list[Shape] = field(default_factory=list)


@dataclass
class CvatFile:
    """meta: the texts within <meta>, by the path of their tags below it, such as task/original_size/width."""

    images: list[Holder] = field(default_factory=list)
    tracks: list[Holder] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)


def read_cvat(file: Path) -> CvatFile:
    """Raises DataError where it is no such file, or declares a document type, which CVAT's files never do."""
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{file}: this is no file")
        if status.st_size > _MOST_BYTES:
            raise DataError(f"{file}: it has more than {_MOST_BYTES:,} bytes; is it the right file?")
        with file.open("rb") as stream:
            handler = _Handler(str(file))
            handler.parser.ParseFile(stream)
        return handler.content
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror})") from None
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(f"{file}: this is no XML: {error}; export it again") from None


class _Handler:
    """What expat calls at each tag."""

    def __init__(self, where: str) -> None:
        self.content = CvatFile()
        self._where = where
        self._path: list[str] = []
        self._holder: Holder | None = None
        self._shape: Shape | None = None
        self._text: str | None = None
        self._attribute: str | None = None
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        # Before any entity could be declared.
        self.parser.StartDoctypeDeclHandler = self._refuse

    def _refuse(self, *_: object) -> NoReturn:
        raise DataError(f"{self._where}: it declares a document type, which no file of CVAT's does; left alone")

    def _start(self, tag: str, values: dict[str, str]) -> None:
        if not self._path and tag != "annotations":
            raise DataError(f"{self._where}: this is no XML of CVAT's: it is a <{tag[:40]}>, not <annotations>")
        self._path.append(tag)
        if len(self._path) > _DEEPEST:
            raise DataError(f"{self._where}: this is no XML of CVAT's: it is nested {_DEEPEST} deep")
        if len(self._path) == 2 and tag in ("image", "track"):
            self._holder = Holder(values)
            (self.content.images if tag == "image" else self.content.tracks).append(self._holder)
        elif len(self._path) == 3 and self._holder is not None:
            values.pop(_NOT_KEPT, None)
            self._shape = Shape(tag, values)
            self._holder.shapes.append(self._shape)
        elif len(self._path) == 4 and self._shape is not None and tag == "attribute":
            self._attribute, self._text = values.get("name", ""), ""
        elif self._path[1:2] == ["meta"]:
            self._text = ""

    def _characters(self, text: str) -> None:
        if self._text is not None and len(self._text) < _MOST_TEXT:
            self._text += text[:_MOST_TEXT]

    def _end(self, tag: str) -> None:
        if self._attribute is not None and self._shape is not None:
            self._shape.attributes[self._attribute] = (self._text or "").strip()
        elif self._text is not None and self._path[1:2] == ["meta"] and len(self.content.meta) < _MOST_META:
            # The first of a name: a project lists all its tasks.
            self.content.meta.setdefault("/".join(self._path[2:]), self._text.strip())
        self._attribute = self._text = None
        if len(self._path) == 3:
            self._shape = None
        elif len(self._path) == 2:
            self._holder = None
        self._path.pop()
