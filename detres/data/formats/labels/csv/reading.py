"""Boxes as a table, `csv`: with a header that names its columns (columns.py), VIA's (via.py), or one without
(headerless.py). A row is a box, or an image without any; a picture's rows may stand anywhere in the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from detres.data.formats.format import Format, Recognized
from detres.data.formats.labels.csv.class_map import find_class_map
from detres.data.formats.labels.csv.columns import header_form, is_prediction
from detres.data.formats.labels.csv.forms import Entry, Form, NoBox
from detres.data.formats.labels.csv.headerless import headerless_form, refuse_sides
from detres.data.formats.labels.csv.tables import Row, first_rows, read_rows
from detres.data.formats.labels.csv.via import via_form
from detres.data.formats.labels.drawn import DrawnImage, Slips, loader_of
from detres.data.formats.labels.recognizing import recognize_files
from detres.data.formats.labels.splits import SplitPlace, existing_file, has_split
from detres.data.problems import Problem
from detres.errors import DataError

# To tell what rows without a header are: the first that has a box may stand behind many images of nothing.
_FIRST_ROWS = 1000


def recognize(place: Path) -> Recognized | None:
    """Whether a folder, or a file, is such a set."""
    return recognize_files(place, ".csv", _looks, "csv", "tables of boxes", subsets=_subsets)


def _looks(file: Path) -> bool:
    rows = first_rows(file, _FIRST_ROWS)
    try:
        form = _form(rows, str(file))
    except DataError:
        return False  # numbers behind an image may be anything
    if form is not None and form.headers and is_prediction(rows[0][1]):
        return False
    if form is None:
        return False
    # A header may be anyone's: one of the first rows is to be a box, too; where nothing says so, most of them.
    read = [isinstance(form.read(cells), Entry | NoBox) for _, cells in rows[form.headers : form.headers + 20]]
    return any(read) if form.headers else sum(read) * 2 > len(read)


def _subsets(file: Path) -> list[str]:
    try:
        form = _form(first_rows(file, _FIRST_ROWS), str(file))
        if form is None or not form.subsets:
            return []
        entries = (form.read(cells) for place, (_, cells) in enumerate(read_rows(file)) if place >= form.headers)
        return list(dict.fromkeys(entry.subset or "" for entry in entries if isinstance(entry, Entry)))
    except DataError:
        return []


def _form(rows: Sequence[Row], where: str) -> Form | None:
    if not rows:
        return None
    header = rows[0][1]
    return via_form(header) or header_form(header) or headerless_form([cells for _, cells in rows], where)


def _read(place: SplitPlace, class_map: Mapping[int, str], found: list[Problem]) -> list[DrawnImage]:
    file = existing_file(place)
    rows = list(read_rows(file))
    form = _form(rows[:_FIRST_ROWS], str(file))
    if form is None:
        shown = ",".join(rows[0][1])[:100] if rows else "nothing"
        raise DataError(
            f"{file}: what its columns are is not told by its first line, {shown!r}; write a header such as "
            "image,xmin,ymin,xmax,ymax,class"
        )
    if place.subset is not None and not form.subsets:
        raise DataError(f"{file}: it has no column that says which split a row is of, for #{place.subset}")
    return _images(rows[form.headers :], form, place, class_map, found)


def _images(
    rows: Sequence[Row], form: Form, place: SplitPlace, class_map: Mapping[int, str], found: list[Problem]
) -> list[DrawnImage]:
    slips = Slips(place.shown, found)
    images: dict[str, DrawnImage] = {}
    sizes: Counter[str] = Counter()
    for line, cells in rows:
        entry = form.read(cells)
        if isinstance(entry, NoBox):
            slips.other(entry)
        elif isinstance(entry, str):
            slips.add(f"line {line}: {entry}")
        elif place.subset is None or entry.subset == place.subset:
            image = images.setdefault(entry.image, DrawnImage((entry.image,), size=entry.size, shares=form.shares))
            sizes[entry.image] += entry.size != image.size
            if entry.box is not None:
                entry.box.name = _named(entry.box.name, class_map)
                image.boxes.append(entry.box)
    slips.tell_others()
    for name in +sizes:
        detail = f"{place.shown} states different sizes in its lines; the file's is used"
        found.append(Problem("size disagrees", name, detail))
        images[name].size = None
    if form.in_doubt:
        refuse_sides([box for image in images.values() for box in image.boxes], str(place.file))
    return list(images.values())


def _named(name: str, class_map: Mapping[int, str]) -> str:
    """A number that the list of classes names, by that name."""
    return class_map.get(int(name), name) if name.isascii() and name.isdigit() and len(name) < 10 else name


# One table; its split is the name below root, NAME:FOLDER, or NAME#SUBSET where a column says which split each row is
# of. Where it cannot be told what the columns are, it is refused.
load_csv = loader_of(
    lambda place, found: _read(place, find_class_map(place.file, place.root), found),
    order=lambda place: list(find_class_map(place.file, place.root).values()),
)

CSV = Format(
    load_csv,
    layout="a table of boxes, such as train.csv with image,xmin,ymin,xmax,ymax,class, lies with its images",
    has_split=has_split,
    recognize=recognize,
    known_by="tables of boxes: .csv files with columns for the image, the edges and the class",
)
