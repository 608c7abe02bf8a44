"""The pictures that label files name, by whatever path they had on the machine where they were labelled.

Nothing outside the set is ever read: a path that leads out of it is looked for by its last parts below the set.
"""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from detres.data.images.files import is_image, is_photograph, list_images
from detres.data.inside import below, forms_of
from detres.data.problems import Problem, ProblemKind
from detres.data.values import excerpt

_LONGEST_NAME, _LONGEST_PATH = 255, 4095
# Folders that images lie in beside their label files, wherever people put them.
_IMAGE_FOLDERS = ("", "images", "JPEGImages", "data")


class _Found(NamedTuple):
    """The pictures below a folder, as paths from the root, by their names and by those without endings."""

    by_name: dict[str, list[str]]
    by_stem: dict[str, list[str]]


class Pictures:
    """Finds each picture that a label file names.

    root: of the set. beside: the folder of the label file; named: the folder that the split names instead of any other.
    mended: how many names were found elsewhere than they say.
    """

    def __init__(self, root: Path, beside: Path, named: Path | None = None) -> None:
        self._root = Path(os.path.abspath(root))
        self._top = Path(os.path.abspath(named)) if named is not None else self._root
        bases = [self._top] if named is not None else [Path(os.path.abspath(beside)), self._root]
        self._bases = list(dict.fromkeys(os.path.join(base, folder) for base in bases for folder in _IMAGE_FOLDERS))
        self._beside = os.path.relpath(os.path.abspath(beside), self._root).split(os.sep)
        self._found: _Found | None = None
        self.mended = 0

    def place(self, *names: object) -> str | Problem:
        """The picture's path as seen from the root, or what is wrong with its name.

        names: what it may be called, the likeliest first. A path that is not there is found by the most of its last
        parts that one picture alone has; a name without an image's ending, as an id is, is that of the picture without
        its own. What is nowhere is returned as it stands.
        """
        usable = [name for name in names if isinstance(name, str) and _can_be_named(name)]
        if not usable:
            name = excerpt(names[0] if names else None)
            return _left_out("image name unusable", name, f"image name {name!r} is none that a file can have; left out")
        for place in (place for name in usable for form in forms_of(name) for place in self._places(form, self._bases)):
            if os.path.isfile(os.path.join(self._root, place)):
                return place
        for name in usable:
            alike = self._named_alike(forms_of(name)[-1])
            if len(alike) == 1:
                self.mended += is_image(name)
                return alike[0]
            if alike:
                detail = f"{' and '.join(alike[:3])} may be meant by it; left out, as it is not told which"
                return _left_out("picture in doubt", name, detail)
        nowhere = self._places(forms_of(usable[0])[-1], self._bases[:1])
        if nowhere:
            return nowhere[0]
        detail = "it leads out of the set (data.root), and no picture of this name is in it; left out"
        return _left_out("name outside the set", usable[0], detail)

    def all(self) -> list[str]:
        """Every picture below the folder of images, as a path from the root, sorted."""
        return sorted(place for places in self._pictures().by_name.values() for place in places)

    def _places(self, name: str, bases: Sequence[str]) -> list[str]:
        """Where a name may lie below the folder of images."""
        if os.path.isabs(name):
            place = below(name, self._top)
            return [self._from_root(os.path.join(self._top, place))] if place else []
        if "://" in name or name[1:3] == ":/":
            return []
        paths = [os.path.normpath(os.path.join(base, name)) for base in bases]
        return list(dict.fromkeys(self._from_root(path) for path in paths if below(path, self._top) is not None))

    def _from_root(self, path: str) -> str:
        return below(path, self._root) or path

    def _named_alike(self, name: str) -> list[str]:
        """The pictures that share the most last parts of their paths with a name, their own name at least."""
        base = unicodedata.normalize("NFC", posixpath.basename(name))
        found = self._pictures()
        some = found.by_name.get(base, []) if is_image(base) else found.by_stem.get(base, [])
        if len(some) < 2:
            return some
        parts = name.split("/")[:-1][::-1]
        shared = [_same(parts, place.split("/")[:-1][::-1]) for place in some]
        best = [place for place, count in zip(some, shared, strict=True) if count == max(shared)]
        # Splits may have pictures of one name, each with its own label file: of several the nearest to it.
        near = [_same(self._beside, place.split("/")) for place in best]
        best = [place for place, count in zip(best, near, strict=True) if count == max(near)]
        photographs = [place for place in best if is_photograph(place)]
        return photographs if len(photographs) == 1 and not is_image(base) else best

    def _pictures(self) -> _Found:
        if self._found is None:
            found = _Found({}, {})
            for name in sorted(list_images(self._top).names):
                place = self._from_root(os.path.join(self._top, name))
                base = unicodedata.normalize("NFC", posixpath.basename(name))
                found.by_name.setdefault(base, []).append(place)
                found.by_stem.setdefault(posixpath.splitext(base)[0], []).append(place)
            self._found = found
        return self._found


def _left_out(kind: ProblemKind, name: object, detail: str) -> Problem:
    return Problem(kind, str(name), detail, costs_image=True)


def _same(some: Sequence[str], others: Sequence[str]) -> int:
    count = 0
    for one, other in zip(some, others, strict=False):
        if one != other:
            break
        count += 1
    return count


def _can_be_named(name: str) -> bool:
    if "\0" in name or not name.strip() or len(name) > _LONGEST_PATH:
        return False
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return False
    return len(encoded) <= _LONGEST_PATH and all(
        len(part) <= _LONGEST_NAME for part in encoded.replace(b"\\", b"/").split(b"/")
    )
