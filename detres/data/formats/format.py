"""What a format of data sets is: an entry of a table of tables.py, made in the file that reads it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from detres.data.places import find_made_set, find_set
from detres.errors import ConfigError, kind_of
from detres.lookup import Table, find, heeded, heeds
from detres.own_code import call_own, find_own, find_own_function

Images = TypeVar("Images")


class DataSection(Protocol):
    """What the data sections of every task have."""

    @property
    def format(self) -> str: ...
    @property
    def root(self) -> str | None: ...
    @property
    def train(self) -> tuple[str, ...]: ...
    @property
    def val(self) -> tuple[str, ...]: ...
    @property
    def test(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Recognized:
    """A set that nobody described, as a format sees it.

    root, train, val, test: what the data section's keys of these names would be. why: what it was known by, for people,
    such as "Annotations/ holds 30 XML files".
    """

    root: Path
    why: str
    train: tuple[str, ...] = ()
    val: tuple[str, ...] = ()
    test: tuple[str, ...] = ()


@dataclass(frozen=True)
class Format:
    """How sets of one format are read, and how the set that the format is known for is come by.

    load: called with (root, split), and by keyword with those keys of the data section that are parameters of it:
        classes, exif, max_pixels, strict of a detector's; what the loading of the other tasks offers is said there.
        Returns AnnotatedImages for detection, ClassifiedImages for the other tasks; raises DataError.
    how_to_get: from the splits that a config names to how people get them, for a set that is not there.
    layout: what a set of one's own looks like below its root, for people.
    class_names: of the set that the format is known for, for when it is not at hand.
    made_in: the folder below datasets/ in which detres makes the set itself.
    has_split: whether (root, split) is there at all; None: nobody can tell before it is read.
    A function may be given as its place, `module:name`: it is imported when it is called, so that a set which is not
    there costs nobody its readers.
    has_ignored: whether boxes may be marked difficult or crowds, which data.difficult is about.
    recognize: what a folder, or a file, is of this format; None where it is none. Raises DataError where it is of this
        format without doubt, and which part of it is which split cannot be told. None: sets of it are not recognized.
    known_by: what recognize looks for, for people.
    write: the inverse of load: called with (splits, a new folder) and link; writes the pictures, the annotations and a
        data.yaml, and returns what could not be said in this format. None: sets are not written in it.
    """

    load: Callable[..., Any] | str
    how_to_get: Callable[[Sequence[str]], str | None] = lambda splits: None
    class_names: Callable[[], tuple[str, ...]] | None = None
    made_in: str | None = None
    has_split: Callable[[Path, str], bool] | str | None = None
    layout: str = "nothing of it was found"
    has_ignored: bool = True
    recognize: Callable[[Path], Recognized | None] | str | None = None
    known_by: str | None = None
    write: Callable[..., list[str]] | str | None = None

    def read(self, root: Path, split: str, keys: Mapping[str, Any], made: type[Images]) -> Images:
        """What load makes of one split, given those of the keys that it heeds.

        made: what the task reads. Raises ConfigError where it is something else.
        """
        load = _found(self.load)
        images = load(root, split, **heeded(load, keys))
        if not isinstance(images, made):
            raise ConfigError(f"data.format: its reader made {kind_of(images)}, expected {made.__name__}")
        return images

    def heeds(self, key: str) -> bool:
        """Whether a key of the data section is a parameter of load."""
        return heeds(_found(self.load), key)

    def absent(self, root: Path, splits: Sequence[str]) -> list[str]:
        """Those of the splits for which nothing is there; whether it can be read is not asked."""
        has_split = _found(self.has_split)
        return [split for split in splits if has_split is not None and not has_split(root, split)]

    def recognized(self, place: Path) -> Recognized | None:
        """What recognize says of a folder or a file."""
        recognize = _found(self.recognize)
        return recognize(place) if recognize is not None else None

    def written(self, splits: Mapping[Any, Any], folder: Path, *, link: bool) -> list[str]:
        """What write says that was lost."""
        write = _found(self.write)
        if write is None:
            raise ConfigError("sets are not written in this format")
        return write(splits, folder, link=link)

    def mend(self, splits: Sequence[str]) -> str:
        """What to do where the set is not there."""
        return self.how_to_get(splits) or f"there, {self.layout}"


def find_format(table: Table, name: str) -> Format:
    """The format of this name. Raises ConfigError where module:callable is none, nor a function that loads one."""
    if name in table:
        return table[name]
    own = find_own(name, "data.format")
    if isinstance(own, Format):
        has_split = None if own.has_split is None else _told(own.has_split, name)
        return replace(own, load=_told(own.load, name), has_split=has_split)
    if not callable(own):
        kind = type(own).__name__
        raise ConfigError(f"data.format {name}: it is a {kind}, expected a Format or a function that loads")
    return Format(_told(own, name))


def _told(own: Callable[..., Any] | str, name: str) -> Callable[..., Any]:
    """A function of one's own format, or its place; what it raises is told with the format's name."""
    function = find_own_function(own, f"data.format {name}:") if isinstance(own, str) else own
    return functools.wraps(function)(functools.partial(call_own, function, f"data.format {name}: it"))


def find_root(table: Table, data: DataSection, base: Path | None = None) -> Path:
    """The folder of the set that a config's data section names (for yolo, or its data.yaml).

    Where it is looked for is find_set's to say. Raises DataError where it is not there.
    """
    chosen = find_format(table, data.format)
    if chosen.made_in is not None:
        return find_made_set(data.root, chosen.made_in, base)
    splits = (*data.train, *data.val, *data.test)
    return find_set(data.root or data.format, data.format, base, mend=chosen.mend(splits))


def _found(function: Any) -> Any:
    return find(function) if isinstance(function, str) else function
