"""A set that nobody described: every format of tables.py is asked whether it is one of its own, and one must say so."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from detres.config.detection_schema import DataConfig
from detres.data.formats.format import Recognized, find_format
from detres.data.inside import absolute
from detres.data.looking import look
from detres.errors import DataError
from detres.tables import DETECTION_FORMATS

_SET_APART = 0.1  # of a set that has neither val nor test
_MOST_LEVELS = 3
_PLAIN = re.compile(r"[A-Za-z0-9_./:+-]*[A-Za-z_./][A-Za-z0-9_./:+-]*")


@dataclass(frozen=True)
class RecognizedSet:
    """A data section, and what it was known by, for people."""

    data: DataConfig
    said: str


@dataclass(frozen=True)
class _Answers:
    """What the formats say of one place: sets by the format's name, and why others could not tell the splits."""

    sets: dict[str, Recognized]
    doubts: dict[str, str]


def recognize(place: Path) -> RecognizedSet | None:
    """The set that a folder, or a file, is of; None where no format knows it.

    Raises DataError where several do, with the keys that choose each, and where the only one cannot tell the splits.
    """
    answers = _asked(place)
    if len(answers.sets) == 1 and not answers.doubts:
        ((name, found),) = answers.sets.items()
        data = _data_of(name, found)
        return RecognizedSet(data, f"read as {name} ({found.why}); {_splits_of(data)}")
    if answers.sets or len(answers.doubts) > 1:
        raise DataError(_several(place, answers))
    for name, doubt in answers.doubts.items():
        # Some say themselves which place they speak of.
        raise DataError(doubt if doubt.startswith("--data") else f"--data {place}: as {name}, {doubt}")
    return None


def is_recognized(place: Path) -> bool:
    """Whether any format knows the place, were it with doubts."""
    answers = _asked(place)
    return bool(answers.sets or answers.doubts)


def levels(folder: Path) -> Iterator[Path]:
    """A folder, and the one in it where it holds nothing else to look at: archives often have one around all."""
    for _ in range(_MOST_LEVELS):
        yield folder
        here = look(folder)
        if len(here.folders) != 1 or here.images():
            return
        folder = here.place / here.folders[0]


def looked_for() -> str:
    """What the formats know their sets by, a line each."""
    known = {name: find_format(DETECTION_FORMATS, name).known_by for name in DETECTION_FORMATS}
    return "\n".join(f"  {name}: {by}" for name, by in known.items() if by)


def what_lies_there(folder: Path) -> str:
    """A folder that no format knows, for people."""
    here = look(folder)
    if not here.folders and not here.files:
        return "it is empty, or not there to be seen"
    images = here.images()
    others = [name for name in here.files if name not in set(images)]
    held = [
        *([here.counted(images, "image")] if images else []),
        *([here.counted(others, "other file")] if others else []),
        *([here.counted(here.folders, "folder")] if here.folders else []),
    ]
    return f"it holds {', '.join(held)}" + (
        "; pictures without labels teach nothing, and `detres predict` finds objects on them" if images else ""
    )


def _asked(place: Path) -> _Answers:
    answers = _Answers({}, {})
    for name in DETECTION_FORMATS:
        try:
            found = find_format(DETECTION_FORMATS, name).recognized(place)
        except DataError as error:
            answers.doubts[name] = str(error)
            continue
        if found is not None:
            answers.sets[name] = found
    return answers


def _data_of(name: str, found: Recognized) -> DataConfig:
    """A set without val and test has a tenth set apart: of near-duplicates all or none, or it would be measured on what
    was learned."""
    splits = {"train": found.train, "val": found.val, "test": found.test}
    alone = found.train and not found.val and not found.test
    apart = {"val_fraction": _SET_APART, "val_groups": "near_duplicates"} if alone else {}
    return DataConfig.model_validate({"format": name, "root": absolute(found.root), **splits, **apart})


def _splits_of(data: DataConfig) -> str:
    said = [f"{split}: {' + '.join(names)}" for split in ("train", "val", "test") if (names := getattr(data, split))]
    if data.val_fraction:
        said.append(f"val: {data.val_fraction:g} of it, set apart with near-duplicates kept together")
    return ", ".join(said)


def _several(place: Path, answers: _Answers) -> str:
    known = [f"  {name}: {found.why}\n    {_keys_of(_data_of(name, found))}" for name, found in answers.sets.items()]
    unsure = [f"  {name}: {doubt.removeprefix(f'--data {place}: ')}" for name, doubt in answers.doubts.items()]
    return "\n".join(
        [
            f"--data {place}: it can be read in several ways; take away what is not meant, or say what is with these "
            "keys in place of --data:",
            *known,
            *unsure,
        ]
    )


def _keys_of(data: DataConfig) -> str:
    """What chooses a set as key=value, as a shell takes it."""
    stated: dict[str, object] = {"format": data.format, "root": data.root}
    stated |= {split: list(getattr(data, split)) for split in ("train", "val", "test")}
    if data.val_fraction:
        stated |= {"val_fraction": data.val_fraction, "val_groups": data.val_groups}
    return " ".join(shlex.quote(f"data.{key}={_written(value)}") for key, value in stated.items())


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]" if len(value) != 1 else _written(value[0])
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
