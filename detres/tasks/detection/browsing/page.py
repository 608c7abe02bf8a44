"""The page of a set: loaded, looked at for oddities, its chosen images as small pictures, written whole."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from detres.config.loading import Layer
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.checking import named_splits, set_apart_of
from detres.data.detection.datasets import load_split
from detres.data.detection.near_duplicates import groups_among, looking_alike
from detres.data.detection.unusable_splits import UnusableSplit, refuse_useless
from detres.data.places import SplitName
from detres.errors import ConfigError, DataError, readable
from detres.files.whole import write_whole
from detres.report.html_page import BROWSE, html_page
from detres.report.html_tables import html_list
from detres.reporter import SILENT, Reporter
from detres.tasks.detection.browsing.choosing import Place, choose_images
from detres.tasks.detection.browsing.oddities import ODDITIES, OF_BOXES, find_oddities
from detres.tasks.detection.browsing.tables import Split, class_table, oddity_table, size_table, split_table
from detres.tasks.detection.set_configs import config_of_set
from detres.tasks.detection.thumbnails import LONGEST_SIDE, scaled_size, thumbnail

_MOST_BYTES = 17_000_000
"""Of pictures and boxes; with the rest a page stays below 20 MB."""
_MOST_COMPARED = 5000
"""Images; to know which look alike, all of them are read."""
_MOST_BOXES, _MOST_PROBLEMS = 1000, 200
_MEDIUM, _LARGE = 32.0**2, 96.0**2


def browse_set(
    *,
    cfg: str | None,
    layers: Sequence[Layer] = (),
    overrides: Sequence[str] = (),
    split: SplitName | None = None,
    out: Path = Path("browse.html"),
    limit: int = 200,
    reporter: Reporter = SILENT,
) -> tuple[Path, int, int]:
    """Write the page; returns it, how many images it shows, and how many there are.

    out: the file, or a folder for it. A split that cannot be used is told, and the others are shown. Raises UserError
    where none can.
    """
    if limit < 1:
        raise ConfigError(f"--limit is {limit}, expected 1 or more")
    config, name = config_of_set(cfg, layers, overrides, "a set with --cfg or --data")
    data = config.data.model_copy(update={"strict": False})
    loaded: dict[str, AnnotatedImages] = {}
    unusable = []
    for each in [split] if split else named_splits(data):
        try:
            loaded[each] = load_split(data, each)
        except DataError as error:
            unusable.append(UnusableSplit(each, str(error)))
    if "train" in loaded and "val" in loaded and not data.val:
        loaded["val"] = set_apart_of(loaded["train"], loaded["val"])
    refuse_useless([*loaded, *unusable])
    for lost in unusable:
        reporter.say(f"{lost.split}: cannot be used: {lost.reason}")
    total = sum(map(len, loaded.values()))
    if total > _MOST_COMPARED:
        reporter.say(f"which images look alike is not asked of more than {_MOST_COMPARED}; check_data finds them")
    groups = _near_duplicates(loaded) if total <= _MOST_COMPARED else {}
    splits = _with_oddities(loaded, groups)
    chosen = choose_images([(each.images, each.oddities) for each in splits], limit)
    shown, pictures = _pictured(splits, chosen)
    if lost_images := {place: row["why"] for place, row in shown.items() if row["why"]}:
        splits = _with_oddities(loaded, groups, lost_images)
    if len(shown) < len(chosen):
        reporter.say(f"{len(shown)} of {len(chosen)} images fill the page; --limit or --split shows others")
    page = _page(name, splits, shown, pictures, total, [f"{each.split}: {each.reason}" for each in unusable])
    file = out / "browse.html" if out.is_dir() else out
    return write_whole(file, page), len(shown), total


def _near_duplicates(loaded: Mapping[str, AnnotatedImages]) -> dict[str, tuple[Any, dict[int, str]]]:
    """Of each split its groups, and for images one of another split that looks the same."""
    found = {}
    for name, images in loaded.items():
        alike: dict[int, str] = {}
        for other, theirs in loaded.items():
            if other != name:
                for i, j in looking_alike(theirs, images).items():
                    alike.setdefault(i, f"looks almost as {theirs.file_name(j)} of {other}")
        found[name] = (groups_among(images), alike)
    return found


def _with_oddities(
    loaded: Mapping[str, AnnotatedImages],
    near: Mapping[str, tuple[Any, dict[int, str]]],
    lost: Mapping[Place, str] = {},
) -> list[Split]:
    splits = []
    for number, (name, images) in enumerate(loaded.items()):
        groups, alike = near.get(name, (None, {}))
        unreadable = {i: why for (n, i), why in lost.items() if n == number}
        splits.append(Split(name, images, find_oddities(images, groups=groups, alike=alike, unreadable=unreadable)))
    return splits


def _pictured(splits: Sequence[Split], chosen: Sequence[Place]) -> tuple[dict[Place, dict[str, Any]], list[bytes]]:
    """Boxes and pictures of as many of the images as there is room for; more of them are smaller."""
    longest = max(192, round(LONGEST_SIDE * min(1.0, (200 / max(len(chosen), 1)) ** 0.5)))
    shown: dict[Place, dict[str, Any]] = {}
    pictures: list[bytes] = []
    room = _MOST_BYTES
    with ThreadPoolExecutor() as pool:  # decoding happens outside Python's lock
        for begin in range(0, len(chosen), 32):
            part = chosen[begin : begin + 32]
            made = list(pool.map(lambda place: thumbnail(splits[place[0]].images, place[1], longest), part))
            for place, (picture, why) in zip(part, made, strict=True):
                row: dict[str, Any] = {"boxes": _box_rows(splits[place[0]], place[1]), "why": why}
                row |= scaled_size(splits[place[0]].images.size(place[1]), longest)
                room -= len(picture) * 4 // 3 + len(json.dumps(row, separators=(",", ":"))) + 400
                if room < 0 and shown:
                    return shown, pictures
                shown[place] = row
                pictures.append(picture)
    return shown, pictures


def _box_rows(split: Split, i: int) -> list[list[int]]:
    """Of each box label, x, y, width, height in thousandths of the picture's sides, size, oddities as bits, and its
    width and height in pixels; the largest first, so that the small ones are drawn on top."""
    images = split.images
    rows = np.arange(images.offsets[i], images.offsets[i + 1])
    rows = rows[np.argsort(-images.areas[rows], kind="stable")][-_MOST_BOXES:]
    boxes = images.boxes[rows].astype(np.float64)
    sides = np.tile(images.sizes[i][::-1], 2)
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    bits = sum((split.oddities.boxes[name][rows].astype(np.int64) << bit) for bit, name in enumerate(OF_BOXES))
    size = (images.areas[rows] >= _MEDIUM).astype(np.int64) + (images.areas[rows] >= _LARGE)
    columns = [images.labels[rows], *(xywh / sides * 1000).round().astype(np.int64).T, size, bits]
    columns += [*xywh[:, 2:].round().astype(np.int64).T]
    return np.stack(columns, axis=1).tolist()


def _page(
    name: str,
    splits: Sequence[Split],
    shown: Mapping[Place, dict[str, Any]],
    pictures: Sequence[bytes],
    total: int,
    unusable: Sequence[str],
) -> str:
    names = list(ODDITIES)
    classes = list(dict.fromkeys(each for split in splits for each in split.images.class_names))
    images = []
    for (number, i), row in shown.items():
        split = splits[number]
        height, width = split.images.size(i)
        own = [classes.index(each) for each in split.images.class_names] if number else None
        boxes = row["boxes"] if own is None else [[own[box[0]], *box[1:]] for box in row["boxes"]]
        images.append(
            {
                "name": readable(split.images.file_name(i)),
                "split": number,
                "width": row["width"],
                "height": row["height"],
                "full": [width, height],
                "odd": [place for place, odd in enumerate(names) if split.oddities.images[odd][i] > 0],
                "told": [readable(line) for line in split.oddities.told.get(i, ())],
                "boxes": boxes,
                "left": max(int(np.diff(split.images.offsets)[i]) - _MOST_BOXES, 0),
            }
        )
    data = {
        "splits": [split.name for split in splits],
        "classes": [readable(each) for each in classes],
        "oddities": names,
        "ofBoxes": len(OF_BOXES),
        "ignored": [names.index("crowd"), names.index("difficult")],
        "images": images,
    }
    boxes = sum(len(split.images.boxes) for split in splits)
    compared = total <= _MOST_COMPARED
    held = f"{boxes:,} boxes of {len(classes):,} class{'es' if len(classes) != 1 else ''}"
    markup = {
        "about": f"{total:,} images{_left_out(splits)}, {held}",
        "shown": f"{len(images):,} of {total:,} images"
        + (", some of every oddity and class." if len(images) < total else ", all there are."),
        "splits": split_table(splits),
        "classes": class_table(splits, classes),
        "sizes": size_table(splits),
        "oddities": oddity_table(splits),
        "oddities_note": "Counts are of the whole set; what cannot be read, of the images that are shown."
        + ("" if compared else f" Which images look alike is not asked of more than {_MOST_COMPARED:,}."),
        "problems": _problems(splits, unusable),
    }
    return html_page(f"{readable(name)}: a look through", data, pictures, BROWSE, markup)


def _left_out(splits: Sequence[Split]) -> str:
    """How many images were left out as they were loaded: the page shows none of them, but for its list of problems."""
    count = sum(problem.costs_image for split in splits for problem in split.images.problems)
    return f" and {count:,} left out (see the problems)" if count else ""


def _problems(splits: Sequence[Split], unusable: Sequence[str]) -> str:
    lines = [readable(f"cannot be used: {line}") for line in unusable]
    lines += [f"{split.name}: {problem}" for split in splits for problem in split.images.problems]
    if not lines:
        return '<p class="quiet">None was found while the annotations were read.</p>'
    more = len(lines) - _MOST_PROBLEMS
    told = f'<p class="quiet">And {more:,} more, which check_data lists.</p>' if more > 0 else ""
    return f"<p>{html.escape(f'{len(lines):,} of them')}</p>{html_list(lines[:_MOST_PROBLEMS])}{told}"
