"""What lies in a folder at a glance, for whoever has to know what kind of set it is before anything is read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from detres.data.images.files import is_hidden, is_image
from detres.errors import DataError

# A set of millions in one folder is looked at so far: what it is, its first files tell.
_MOST_ENTRIES = 200_000


@dataclass(frozen=True)
class Look:
    """The names right below a folder, hidden ones apart, each sorted. whole: whether these are all of them."""

    place: Path
    folders: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    whole: bool = True

    def ending(self, suffix: str) -> list[str]:
        """The files of this ending, given in small letters."""
        return [name for name in self.files if name.lower().endswith(suffix)]

    def images(self) -> list[str]:
        return [name for name in self.files if is_image(name)]

    def folder(self, words: Sequence[str]) -> str | None:
        """The folder called by one of these words, capitals apart; of several the first word's."""
        by_name = {name.lower(): name for name in reversed(self.folders)}
        return next((by_name[word] for word in words if word in by_name), None)

    def counted(self, names: Sequence[str], what: str) -> str:
        """How many there are, for people: 30 XML files."""
        least = "" if self.whole else "at least "
        return f"{least}{len(names)} {what}{'' if len(names) == 1 else 's'}"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def look(place: Path) -> Look:
    """A look at a folder; at nothing where there is none. Raises DataError where it cannot be read."""
    folders: list[str] = []
    files: list[str] = []
    whole = True
    try:
        with os.scandir(place) as entries:
            for number, entry in enumerate(entries):
                if number >= _MOST_ENTRIES:
                    whole = False
                    break
                if not is_hidden(entry.name):
                    (folders if _is_folder(entry) else files).append(entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return Look(place)
    except OSError as error:
        raise DataError(f"{place}: this folder cannot be read ({error.strerror})") from None
    return Look(place, tuple(sorted(folders)), tuple(sorted(files)), whole)
