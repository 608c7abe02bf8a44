"""The lists of a VOC folder and the pictures that their entries mean.

An *entry* is the name of an annotation file below Annotations/ without its ending, with slashes: 000005, or cam2/a.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from detres.data.images.files import IMAGE_SUFFIXES, is_photograph, names_in
from detres.data.inside import below, forms_of
from detres.data.problems import Problem
from detres.files.many import read_all
from detres.files.text import MOST_LIST_BYTES, read_lines

# A list of one class (aeroplane_train.txt) says in a second column whether the class is there.
_OF_ONE_CLASS = re.compile(r"(.*\S)\s+(-1|0|1)")

_PARTS = ("JPEGImages", "Annotations")


class Pictures:
    """The pictures below JPEGImages/, or another folder of `folder`, each folder of which is listed once."""

    def __init__(self, folder: Path, *, pictures: str = "JPEGImages", annotations: str = "Annotations") -> None:
        self.folder = folder
        self.place = folder / pictures
        self.annotations = folder / annotations
        self._pictures, self._annotations = ("" if at == "." else f"{at}/" for at in (pictures, annotations))
        self._listed: dict[str, dict[str, list[str]]] = {}

    def of_entry(self, entry: str, file_name: str | None) -> tuple[str, str | None]:
        """The picture of an entry, relative to `place`, and what is doubtful about it.

        file_name: what the annotation calls it: often the name from before files were renamed or copied, and without a
        folder. So a picture named as the entry, in the entry's own folder, comes first; the <filename> decides between
        several of these, and where there is none.
        """
        named = (file_name or "").replace("\\", "/")
        base = posixpath.basename(named)
        beside = posixpath.join(posixpath.dirname(entry), base)
        own = self.named_as(entry)
        if own:
            chosen = [name for name in own if name.lower() == beside.lower()]
            return (chosen or own)[0], None if chosen else self._doubt(own, beside)
        elsewhere = [beside, below(named, self.place) if named != base else None]
        if not self.is_entry(posixpath.splitext(base)[0]):  # else it is that one's
            elsewhere.append(base)
        there = [name for name in elsewhere if name and self._holds(name)]
        return (there[0] if there else beside if base else f"{entry}.jpg"), None

    def named_as(self, entry: str) -> list[str]:
        """The pictures whose names without their endings are the entry's, photographs first."""
        folder, stem = posixpath.split(entry)
        return [posixpath.join(folder, name) for name in self._list(folder).get(stem, ())]

    def is_entry(self, entry: str) -> bool:
        """Whether there is an annotation of this name."""
        return os.path.isfile(self.annotation_file(entry))

    def annotation_file(self, entry: str) -> str:
        return f"{self.folder}/{self.annotation_name(entry)}"

    def annotation_name(self, entry: str) -> str:
        """An annotation's path below `folder`; cameras and old systems write endings in capitals."""
        names = [f"{self._annotations}{entry}{ending}" for ending in (".xml", ".XML", ".Xml")]
        return next((name for name in names if os.path.isfile(f"{self.folder}/{name}")), names[0])

    def relative(self, name: str) -> str:
        """What picture_name made of a picture, taken back."""
        return name.removeprefix(self._pictures)

    def picture_name(self, picture: str) -> str:
        """A picture's path below `folder`."""
        return f"{self._pictures}{picture}"

    def _holds(self, name: str) -> bool:
        folder, base = posixpath.split(name)
        return base in self._list(folder).get(posixpath.splitext(base)[0], ())

    def _doubt(self, own: list[str], named: str) -> str | None:
        if len(own) > 1:
            return f"{' and '.join(own)} have its name, and its <filename> is neither; {own[0]} is taken"
        if self._holds(named):
            return f"its <filename> is {named}, another picture; {own[0]} is taken, which has the annotation's name"
        return None

    def _list(self, folder: str) -> dict[str, list[str]]:
        if folder not in self._listed:
            by_stem: dict[str, list[str]] = {}
            names = names_in(self.place / folder)
            for name in sorted(names, key=lambda name: not is_photograph(name)):
                stem, suffix = posixpath.splitext(name)
                if suffix.lower() in IMAGE_SUFFIXES:
                    by_stem.setdefault(stem, []).append(name)
            self._listed[folder] = by_stem
        return self._listed[folder]


def list_files(folder: Path) -> list[Path]:
    """The lists of a folder, sorted."""
    place = folder / "ImageSets" / "Main"
    return [place / name for name in names_in(place) if name.lower().endswith(".txt")]


def find_list(folder: Path, listed: str) -> Path | None:
    """The file of a list by its name."""
    place = folder / "ImageSets" / "Main"
    return next((file for file in (place / f"{listed}.txt", place / f"{listed}.TXT") if os.path.isfile(file)), None)


def read_entries(file: Path, pictures: Pictures, prefix: str, found: list[Problem]) -> list[str]:
    """The entries of a list; a line that leads out of the set is a problem, and left out.

    Raises DataError where the list cannot be read as text.
    """
    lines = read_lines(file, most=MOST_LIST_BYTES)
    entries = read_all(lambda line: _entry(line, pictures), lines)
    for line, entry in zip(lines, entries, strict=True):
        if entry is None:
            detail = f"the line {line[:60]!r} leads out of {prefix or 'the set'}; left out"
            found.append(
                Problem("name outside the set", f"{prefix}ImageSets/Main/{file.name}", detail, costs_image=True)
            )
    return [entry for entry in entries if entry is not None]


def _entry(line: str, pictures: Pictures) -> str | None:
    """The first meaning of a line for which there is an annotation, or else a picture, or else the last of all."""
    if "/" not in line and "\\" not in line and pictures.is_entry(line):
        return line
    meanings = list(dict.fromkeys(_meanings(line, pictures.folder)))
    for there in (pictures.is_entry, pictures.named_as):
        for meaning in meanings:
            if there(meaning):
                return meaning
    return meanings[-1] if meanings else None


def _meanings(line: str, folder: Path) -> Iterator[str]:
    """What a line may mean: all of it, it without the column of a class, with slashes, without a file's ending."""
    of_one_class = _OF_ONE_CLASS.fullmatch(line)
    for text in [line, of_one_class[1]] if of_one_class else [line]:
        for form in forms_of(text):
            for entry in [*(below(form, folder / part) for part in _PARTS), _below_part(form, folder)]:
                if entry is None:
                    continue
                yield entry
                stem, suffix = posixpath.splitext(entry)
                if suffix.lower() in IMAGE_SUFFIXES or suffix.lower() == ".xml":
                    yield stem


def _below_part(name: str, folder: Path) -> str | None:
    """What a path names below JPEGImages/ or Annotations/, relative to the year folder, to one above it or to the list.

    JPEGImages/a.jpg, VOC2007/JPEGImages/a.jpg and ../../JPEGImages/a.jpg are a.jpg; None for all that leads elsewhere.
    """
    for start in ("", "ImageSets/Main"):
        parts = posixpath.normpath(posixpath.join(start, name)).split("/")
        for place, part in enumerate(parts[:-1]):
            if part in _PARTS and tuple(parts[:place]) == folder.parts[len(folder.parts) - place :]:
                return "/".join(parts[place + 1 :])
    return None
