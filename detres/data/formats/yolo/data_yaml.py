"""ultralytics' data.yaml as a data section: which folders its splits are, wherever it stands by now.

A yaml is often written for another machine, or before its set was exported anew: what it names is looked for below its
own folder, and whatever is taken for what it names is said.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from detres.config.detection_schema import DataConfig
from detres.data.formats.yolo.reading import names_in
from detres.data.inside import absolute, spelled_there
from detres.data.places import SplitName, datasets_root
from detres.data.split_words import SPLIT_WORDS
from detres.errors import DataError
from detres.files.places import local_place

_SPLITS: tuple[SplitName, ...] = ("train", "val", "test")
# Of a path from another machine's root, so many of the last names are looked for.
_MOST_NAMES = 4


class Described(NamedTuple):
    """said: what was taken for another thing than the yaml names."""

    data: DataConfig
    said: tuple[str, ...]


def data_of_yaml(content: Mapping[str, Any], path: Path) -> Described:
    """The data section that a data.yaml means. Raises DataError where names or splits are no such."""
    names_in(content, str(path))  # says at once where the names are no names
    if not any(content.get(split) for split in _SPLITS):
        raise DataError(f"{path}: it names neither train, val nor test; each is a folder of images or a list of files")
    named = {split: _stated(content, split, path) for split in _SPLITS}
    base = content.get("path") or "."
    _refuse_no_name(base, "path", path)
    names = [name for split in _SPLITS for name in named[split]]
    chosen = _base_of(names, spelled_there(local_place(base, f"{path}: path: {base}"), path.parent), path.parent)
    places = {split: [chosen.place(name) for name in of_split] for split, of_split in named.items()}
    taken = {absolute(place) for of_split in places.values() for place in of_split if os.path.exists(place)}
    said: list[str] = []
    splits: dict[str, tuple[str, ...]] = {}
    for split, of_split in named.items():
        found = []
        for name, place in zip(of_split, places[split], strict=True):
            other = None if os.path.exists(place) else _elsewhere(name, split, (chosen.folder, path.parent), taken)
            if other is not None:
                said.append(f"{path.name}: {split}: {name} is not there; {_shown(other, path.parent)} is taken for it")
            found.append(absolute(other or place))
        splits[split] = tuple(found)
    said += _left_alone(splits, chosen.folder, path)
    return Described(DataConfig(format="yolo", root=absolute(path), **splits), tuple(said))


def _elsewhere(name: Path, split: SplitName, bases: Sequence[Path], taken: set[str]) -> Path | None:
    """A folder that is there in place of one that is not, and which no split has; None where none can be meant."""
    if name.suffix.lower() == ".txt":
        return None  # a list says itself which images it means
    for base in dict.fromkeys(bases):
        for form in _forms(name, split):
            place = base / form
            if os.path.isdir(place) and not any(_overlap(absolute(place), other) for other in taken):
                return place
    return None


def _overlap(one: str, other: str) -> bool:
    """Whether two folders are one, or one lies in the other."""
    return os.path.commonpath([one, other]) in (one, other)


def _forms(name: Path, split: SplitName) -> Iterator[Path]:
    """Other ways of writing a folder of a split: its last names alone, another word for it, images/ on the other side.

    For ../valid/images these are valid/images, images/valid, valid, and the same with val.
    """
    parts = [part for part in name.parts if part not in ("..", ".", name.anchor)]
    words = [part for part in parts if part.lower() in SPLIT_WORDS[split]]
    for start in range(max(len(parts) - _MOST_NAMES, 0), len(parts)):
        # images/ alone would be every split's, and the word alone comes after what is surer.
        if not words or (set(words) & set(parts[start:]) and start < len(parts) - 1):
            yield Path(*parts[start:])
    others = list(dict.fromkeys([*reversed(words), *(SPLIT_WORDS[split] if words else ())]))
    yield from (form for word in others for form in (Path(word, "images"), Path("images", word)))
    yield from map(Path, others)


def _left_alone(splits: Mapping[str, tuple[str, ...]], base: Path, path: Path) -> list[str]:
    """What to say of folders that look like a val which the yaml does not name.

    They are not used: what a set is measured on is its owner's to say, and a yaml that is silent may mean it.
    """
    if splits["val"]:
        return []
    named = {name for names in splits.values() for name in names}
    for word in SPLIT_WORDS["val"]:
        for form in (f"{word}/images", f"images/{word}", word):
            if os.path.isdir(base / form) and absolute(base / form) not in named:
                key = f"data.val=[{absolute(base / form)}]"
                return [f"{path.name} names no val, so {form}/ is not used; `val: {form}` there, or {key}, uses it"]
    return []


def _shown(place: Path, folder: Path) -> str:
    plain = absolute(place)
    below = absolute(folder)
    return os.path.relpath(plain, below) if plain.startswith(below + os.sep) else plain


def _stated(content: Mapping[str, Any], split: str, path: Path) -> list[Path]:
    """The names of a split, as they stand."""
    stated = content.get(split) or []
    names = stated if isinstance(stated, list) else [stated]
    for name in names:
        _refuse_no_name(name, split, path)
    return [local_place(name, f"{path}: {split}: {name}") for name in names]


def _refuse_no_name(value: Any, key: str, path: Path) -> None:
    if not isinstance(value, str):
        got = f"{value!r}"[:60]
        raise DataError(f"{path}: {key}: got {got}, expected the name of a folder or of a list of files")


class _Base(NamedTuple):
    """What the splits of an ultralytics data.yaml are relative to.

    exported: whether they are as Roboflow writes them, ../train/images for train/images.
    """

    folder: Path
    exported: bool

    def place(self, name: Path) -> Path:
        spelled = spelled_there(name, self.folder)
        return self.folder / (str(spelled).removeprefix("../") if self.exported else spelled)


def _base_of(names: Sequence[Path], stated: Path, beside: Path) -> _Base:
    """The one base of all splits: of two, one split would be of another set that has a folder of its name.

    stated: what the yaml says its splits are below; beside: its own folder. That comes first where anything named is
    there; else the one of ultralytics' other places with the most of them; where none has any, the yaml's own folder.
    Names from the file system's root on are the same below each, and do not count.
    """
    relative = [name for name in names if not name.is_absolute()]

    def count(base: _Base) -> int:
        return sum(os.path.exists(base.place(name)) for name in relative)

    def bases(*folders: Path) -> list[_Base]:
        return [_Base(folder, exported) for exported in (False, True) for folder in folders]

    own = max(bases(beside / stated), key=count)
    if count(own):
        return own
    others = [*bases(Path.cwd() / stated, datasets_root() / stated), *bases(beside)]
    best = max(others, key=count)
    return best if count(best) else own
