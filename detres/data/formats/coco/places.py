"""Where the images of a COCO annotation file lie: the folder they are in, and each name's place in it.

Nothing outside the set is ever read: a name may lead to the root, or to the folder the split names, and nowhere else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detres.data.detection.indexing import other_forms
from detres.data.formats.coco.json import Entry, how_to_get
from detres.data.values import excerpt
from detres.errors import DataError

# File names of 2014 and 2015 say which archive the image came in: trainval35k's lie in two folders.
_NAMED_BY_FOLDER = re.compile(r"COCO_([a-z]+20\d\d)_\d+\.jpg")
# What must be looked at twice: backslashes, NUL, names from the root, and steps such as ../, ./ and //.
_SUSPICIOUS = re.compile(r"[\\\0]|^/|(^|/)\.{0,2}(/|$)")
_LONGEST_NAME, _LONGEST_PATH = 255, 4095
_SAMPLES = 20


class ImagePlaces:
    """Finds the folder of the images, and gives each image's place.

    named: the folder the split names, or nothing. mended: how many names were read with their backslashes as slashes.
    Raises DataError where no folder holds any of the images.
    """

    def __init__(self, root: Path, file: Path, named: str, images: Sequence[Entry]) -> None:
        self._root = os.path.abspath(root)
        self.mended = 0
        samples: dict[str, list[str]] = {}
        for image in images:
            name = image.get("file_name")
            if isinstance(name, str) and name:
                some = samples.setdefault(_own_folder(name), [])
                if len(some) < _SAMPLES:
                    some.append(name)
        folders = {own: _image_folder(root, file, named, own, some) for own, some in samples.items()}
        self._folders: Mapping[str, str] = {own: relative_place(folder, root) for own, folder in folders.items()}
        self._allowed = tuple(dict.fromkeys([self._root, *(os.path.abspath(folder) for folder in folders.values())]))

    def place(self, name: Any) -> str | None:
        """The image's path as seen from the root, an absolute one where its folder lies elsewhere.

        None where the name is none, or leads out of the set.
        """
        if not isinstance(name, str) or not name:
            return None
        folder = self._folders.get(_own_folder(name), "")
        if len(name) < _LONGEST_NAME // 4 and not _SUSPICIOUS.search(name):
            return os.path.join(folder, name) if _can_be_named(name) else None
        as_it_is = self._inside(folder, name)
        if "\\" not in name or (as_it_is is not None and os.path.isfile(as_it_is)):
            return as_it_is and self._seen_from_root(as_it_is)
        mended = self._inside(folder, name.replace("\\", "/"))
        self.mended += mended is not None
        return mended and self._seen_from_root(mended)

    def _inside(self, folder: str, name: str) -> str | None:
        """The absolute path of a name, steps upwards taken; None where it is no path or leads out of the set."""
        parts = name.split("/")
        if "\0" in name or not _can_be_named(name) or max(len(os.fsencode(part)) for part in parts) > _LONGEST_NAME:
            return None
        path = os.path.normpath(os.path.join(self._root, folder, name))
        inside = any(path.startswith(os.path.join(allowed, "")) for allowed in self._allowed)
        return path if inside and len(os.fsencode(path)) <= _LONGEST_PATH else None

    def _seen_from_root(self, path: str) -> str:
        below = os.path.join(self._root, "")
        return path[len(below) :].replace(os.sep, "/") if path.startswith(below) else path


def relative_place(path: Path, root: Path) -> str:
    """As seen from the root; as it is where it lies elsewhere, which joining to the root leaves alone."""
    below = path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path.absolute())
    return "" if below == "." else below


def shown(value: Any, most: int = 100) -> str:
    """A value of a file as a message may hold it: plain text as it is, all else as Python writes it, and cut."""
    text = value if isinstance(value, str) and value.isprintable() and value else repr(excerpt(value))
    return text if len(text) <= most else f"{text[:most]}…"


def _can_be_named(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return False
    return True


def _own_folder(file_name: str) -> str:
    match = _NAMED_BY_FOLDER.fullmatch(file_name)
    return match[1] if match else ""


def _image_folder(root: Path, file: Path, named: str, own: str, samples: Sequence[str]) -> Path:
    """The first folder that holds one of the samples."""
    if named:
        candidates = [root / named, root / named / own]
    else:
        # test-dev and test-challenge are lists of some of test's images.
        ending = own or re.sub(r"^test-[a-z]+", "test", file.stem.rsplit("_", 1)[-1])
        candidates = [root / ending, root / "images" / ending, root / "images", file.parent, root]
    spellings = [*samples, *(sample.replace("\\", "/") for sample in samples)]
    spellings += [form for sample in samples for form in other_forms(sample)]
    names = [name for name in dict.fromkeys(spellings) if _can_be_named(name) and not name.startswith(("/", "\\"))]
    if samples and not names and all(sample.startswith(("/", "\\")) for sample in samples):
        return root / named  # they say themselves where they lie
    # Plain names first: one with ../ is there in more than one folder's view.
    for steps_up in (False, True):
        for folder in candidates:
            here = [os.path.normpath(os.path.join(folder, name)) for name in names if (".." in name) == steps_up]
            if any(map(os.path.isfile, here)):
                return folder
    looked = ", ".join(dict.fromkeys(str(folder) for folder in candidates))
    raise DataError(
        f"{file}: its images (such as {shown(samples[0])}) were looked for in {looked} and not found; "
        f"write the split as {file.name}:FOLDER{how_to_get(file.name)}"
    )
