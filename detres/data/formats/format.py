"""What a format of data sets is: an entry of a table of tables.py, made in the file that reads it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detres.errors import ConfigError
from detres.lookup import Table, heeded
from detres.own_code import call_own, find_own


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
    has_ignored: whether boxes may be marked difficult or crowds, which data.difficult is about.
    """

    load: Callable[..., Any]
    how_to_get: Callable[[Sequence[str]], str | None] = lambda splits: None
    class_names: Callable[[], tuple[str, ...]] | None = None
    made_in: str | None = None
    has_split: Callable[[Path, str], bool] | None = None
    layout: str = "nothing of it was found"
    has_ignored: bool = True

    def mend(self, splits: Sequence[str]) -> str:
        """What to do where the set is not there."""
        return self.how_to_get(splits) or f"there, {self.layout}"


def find_format(table: Table, name: str) -> Format:
    """The format of this name. Raises ConfigError where module:callable is none, nor a function that loads one."""
    if name in table:
        return table[name]
    own = find_own(name, "data.format")
    if isinstance(own, Format):
        return own
    if not callable(own):
        kind = type(own).__name__
        raise ConfigError(f"data.format {name}: it is a {kind}, expected a Format or a function that loads")
    return Format(functools.wraps(own)(functools.partial(call_own, own, f"data.format {name}: it")))


def load_by(chosen: Format, root: Path, split: str, keys: Mapping[str, Any]) -> Any:
    """What the format makes of one split, given those of the keys that it heeds."""
    return chosen.load(root, split, **heeded(chosen.load, keys))
