"""Whether a folder is a set of VOC's kind that nobody described: lists of years, or XML with its pictures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from detres.data.formats.format import Recognized
from detres.data.formats.voc.folders import ANNOTATION_FOLDERS, pair_of
from detres.data.formats.voc.lists import list_files
from detres.data.looking import Look, look
from detres.data.places import SplitName
from detres.data.split_words import parts_of, splits_among
from detres.errors import DataError

_YEAR = re.compile(r"VOC\d{4}.*", re.IGNORECASE)
_TOP = re.compile(rb"<\s*annotation[\s>]")
_HEAD, _TRIED, _MOST_FOLDERS = 4096, 10, 20


def recognize_voc(place: Path) -> Recognized | None:
    """A folder with the lists of a year, or of several (also in VOCdevkit/), else with XML and its pictures.

    Raises DataError where a year has lists of which none is called train, val or test.
    """
    top = look(place)
    if years := _years(top):
        return _of_lists(top, years)
    splits: dict[SplitName, tuple[str, ...]] = {}
    named = splits_among(_folders_of_splits(top))
    pairs = {split: pair_of(place, name, top) for split, name in named.items()}
    for split, pair in pairs.items():
        if pair is not None and _holds_voc(place / pair.annotations):
            splits[split] = (named[split],)
    if splits:
        first = next(pairs[split] for split in splits)
        return Recognized(place, _why(place, first.annotations if first else "."), **splits)
    pair = pair_of(place, ".", top)
    if pair is not None and _holds_voc(place / pair.annotations):
        return Recognized(place, _why(place, pair.annotations), train=(".",))
    parts = [name for name in parts_of(top) if _is_part(place, name, top)]
    return (
        Recognized(place, f"{' and '.join(parts)} hold XML files and pictures", train=tuple(parts)) if parts else None
    )


def _is_part(place: Path, name: str, top: Look) -> bool:
    pair = pair_of(place, name, top)
    return pair is not None and _holds_voc(place / pair.annotations)


def _folders_of_splits(top: Look) -> Sequence[str]:
    """Folders in the set's own, and in its folder of annotations."""
    annotations = top.folder(ANNOTATION_FOLDERS)
    below = look(top.place / annotations).folders if annotations else ()
    return list(dict.fromkeys([*top.folders, *below]))


def _years(top: Look) -> list[str]:
    """The folders with lists and annotations, as paths below the top; `.` for itself."""
    candidates = ["."]
    for above in (".", top.folder(("vocdevkit",))):
        here = top if above == "." else look(top.place / above) if above else Look(top.place)
        names = [name for name in here.folders if _YEAR.fullmatch(name)][:_MOST_FOLDERS]
        candidates += [name if above == "." else f"{above}/{name}" for name in names]
    return [
        year for year in candidates if list_files(top.place / year) and _holds_voc(top.place / year / "Annotations")
    ]


def _of_lists(top: Look, years: Sequence[str]) -> Recognized:
    found: dict[SplitName, list[str]] = {}
    for year in years:
        prefix = "" if year == "." else f"{Path(year).name}/"
        for split, name in _lists_of(top.place / year).items():
            found.setdefault(split, []).append(prefix + name)
    splits = {split: tuple(names) for split, names in found.items()}
    places = " and ".join("ImageSets/Main/" if year == "." else f"{year}/ImageSets/Main/" for year in years)
    return Recognized(top.place, f"lists in {places}", **splits)


def _lists_of(year: Path) -> dict[SplitName, str]:
    stems = [file.stem for file in list_files(year)]
    # aeroplane_train.txt is of one class.
    names = [name for name in stems if "_" not in name] or stems
    splits = splits_among(names)
    both = next((name for name in names if name.lower() == "trainval"), None)
    if "train" not in splits and (both or (len(names) == 1 and not splits)):
        splits = {"train": both or names[0], **splits}
    if not splits:
        place = year / "ImageSets" / "Main"
        raise DataError(f"{place} holds the lists {', '.join(names)}; which is which split, their names do not tell")
    return splits


def _holds_voc(folder: Path) -> bool:
    """Whether the first XML files of a folder, or of those right below it, are annotations of VOC's kind."""
    here = look(folder)
    files = [here.place / name for name in here.ending(".xml")[:_TRIED]]
    for name in here.folders[:_MOST_FOLDERS] if not files else ():
        files += [folder / name / file for file in look(folder / name).ending(".xml")[:_TRIED]]
    return any(map(_is_voc, islice(files, _TRIED)))


def _is_voc(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return False
    return _TOP.search(head.replace(b"\0", b"")) is not None  # UTF-16's zeros stand between letters


def _why(place: Path, annotations: str) -> str:
    here = look(place / annotations)
    held = here.counted(here.ending(".xml"), "XML file") if here.ending(".xml") else "XML files below it"
    return f"{annotations if annotations != '.' else place.name or '.'}/ holds {held}"
