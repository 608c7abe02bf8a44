"""The lists of a COCO annotation file: its JSON read whole, whatever people's tools wrote, and told what is none."""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from detres.data.formats.coco import how_to_get
from detres.data.problems import Problem
from detres.errors import DataError, kind_of
from detres.files.text import read_json_text

# Python's int() refuses texts of more digits; nothing of an annotation file has as many.
_MOST_DIGITS = 400
_SPACE = re.compile(r"[ \t\n\r]*")
_LISTS = ("images", "categories", "annotations")

Entry = dict[str, Any]


def read_instances(file: Path, where: str, problems: list[Problem]) -> dict[str, list[Entry]]:
    """images, categories and annotations of a file, each a list of objects; empty where annotations are not there.

    where: what the problems call the file. An entry that is no object is left out, and a problem.
    Raises DataError where there is no such file, or it has no images or categories, or what it has is no list of
    objects.
    A list that stands twice in a file is an error too: JSON's readers keep the last, and which was meant is not told.
    """
    content = _parse(file)
    if not isinstance(content, dict):
        raise DataError(f"{file}: this is no COCO instances file: it holds {kind_of(content)}, not an object")
    content = {"annotations": [], **content}
    lists = {}
    for key in _LISTS:
        if key not in content:
            raise DataError(f"{file}: this is no COCO instances file: it has no {key}")
        entries = content[key]
        objects = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
        if not isinstance(entries, list) or (entries and not objects):
            raise DataError(
                f"{file}: this is no COCO instances file: its {key} are no list of objects; export it again"
            )
        for place, entry in enumerate(entries if len(objects) < len(entries) else ()):
            if not isinstance(entry, dict):
                detail = f"{key}[{place}] is {kind_of(entry)}, not an object; left out"
                problems.append(Problem("annotation malformed", where, detail, costs_image=key == "images"))
        lists[key] = objects
    return lists


@contextmanager
def without_collections() -> Iterator[None]:
    """Python's search for circles is off: it goes through millions of new objects again and again, and finds none."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _parse(file: Path) -> Any:
    try:
        text = read_json_text(file)
        try:
            return _read_top(text, json.JSONDecoder(object_hook=_without_polygons), file)
        except json.JSONDecodeError:
            raise
        except ValueError:  # a number of thousands of digits
            decoder = json.JSONDecoder(object_hook=_without_polygons, parse_int=_whole_or_infinite)
            return _read_top(text, decoder, file)
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such annotation file{how_to_get(file.name)}") from None
    except RecursionError:
        raise DataError(f"{file}: this is no COCO instances file: it is nested a thousand deep") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise DataError(f"{file}: this is no JSON: {error}; download or export it again") from None


def _read_top(text: str, decoder: json.JSONDecoder, file: Path) -> Any:
    """What a text holds. The outermost object is taken key by key, since json.loads keeps the last of equal keys.

    Raises DataError where one of the lists stands twice, JSONDecodeError where the text is no JSON.
    """
    start = _behind_space(text, 0)
    if text[start : start + 1] != "{":
        return decoder.decode(text)
    content: dict[str, Any] = {}
    place = _behind_space(text, start + 1)
    ended = text[place : place + 1] == "}"
    place += ended
    while not ended:
        if text[place : place + 1] != '"':
            raise json.JSONDecodeError("Expecting a key in double quotes", text, place)
        key, place = decoder.raw_decode(text, place)
        place = _step(text, place, ":")
        value, place = decoder.raw_decode(text, place)
        if key in content and key in _LISTS:
            counts = " and ".join(str(len(each)) if isinstance(each, list) else "no" for each in (content[key], value))
            raise DataError(
                f"{file}: {key} stands twice in it, with {counts} entries, and readers of JSON keep only the last; "
                "join them into one list"
            )
        content[key] = value
        ended = text[(end := _behind_space(text, place)) : end + 1] == "}"
        place = end + 1 if ended else _step(text, place, ",")
    if (end := _behind_space(text, place)) < len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return content


def _step(text: str, place: int, mark: str) -> int:
    """Where the next thing begins behind a mark and spaces around it."""
    place = _behind_space(text, place)
    if text[place : place + 1] != mark:
        raise json.JSONDecodeError(f"Expecting {mark!r} delimiter", text, place)
    return _behind_space(text, place + 1)


def _behind_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    assert found is not None, "no space at all is some"
    return found.end()


def _without_polygons(entry: Entry) -> Entry:
    # Most of a file is polygons, which nothing here reads: they go as they come.
    entry.pop("segmentation", None)
    return entry


def _whole_or_infinite(digits: str) -> int | float:
    return int(digits) if len(digits) < _MOST_DIGITS else math.inf
