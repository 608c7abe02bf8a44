"""YOLO's label files: a line an object, `class cx cy width height` in shares of the image's sides, or a polygon.

Other tools write other things there (meanings.py). What lines mean is the data.yaml's to say (`kpt_shape`,
`task`); where it does not, lines that fit another meaning are left out, and asked about.
"""

from __future__ import annotations

import os
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from detres.data.detection.indexing import RawBox
from detres.data.formats.yolo.meanings import (
    is_no_polygon,
    is_rectangle,
    keypoints_in_box,
    meaning_of_odd,
    other_meaning,
)
from detres.data.images.reading import read_header
from detres.data.problems import Problem, ProblemKind
from detres.data.values import finite_number, whole_number
from detres.errors import DataError
from detres.files.many import read_all
from detres.files.text import read_text

# A label file of one image: a hundred thousand boxes.
_MOST_BYTES = 8 * 2**20


@dataclass(frozen=True)
class LabelForm:
    """How the lines of a set are to be read.

    names: the classes by number. keypoints: how many follow each box, and of how many numbers (2 or 3). polygons:
    whether it is stated that what has more numbers than a box is a polygon. stated: how many classes there are to be.
    """

    names: Sequence[str]
    keypoints: tuple[int, int] | None = None
    polygons: bool = False
    stated: int | None = None


@dataclass(slots=True)
class Label:
    """One line of a label file. line: its number; count: how many numbers stand behind its class.

    meaning: what it may mean but for a polygon, by itself; in_box: what, if all lines of the set are alike. rectangle:
    whether it has a rectangle's corners; outside: whether it has numbers that no polygon has.
    """

    box: RawBox
    line: int
    count: int
    meaning: str | None
    in_box: str | None
    rectangle: bool
    outside: bool


@dataclass(slots=True)
class Labels:
    """One label file. problems: what is wrong with other lines; whole: whether the file could be read."""

    boxes: list[Label] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    whole: bool = True


def label_file(image: Path) -> Path:
    """Where an image's labels are: in the labels/ that mirrors the last images/, else beside it.

    What has that name and is no file, such as a folder or a link that leads nowhere, is given where there is no file.
    """
    # Text, not paths: of a large set these would take longer than reading the labels.
    folder, name = os.path.split(image)
    stem = os.path.splitext(name)[0]
    mirrored = _mirrored(folder)
    places = (folder,) if mirrored is None else (mirrored, folder)
    files = [os.path.join(place, stem + ending) for place in places for ending in (".txt", ".TXT")]
    for is_there in (os.path.isfile, os.path.lexists):
        for file in files:
            if is_there(file):
                return Path(file)
    return image.parent / f"{stem}.txt"


def mirrored_folder(folder: Path) -> Path | None:
    """The folder of labels for a folder of images: the last images/ of its path is labels/ there."""
    mirrored = _mirrored(str(folder))
    return None if mirrored is None else Path(mirrored)


def _mirrored(folder: str) -> str | None:
    parts = folder.split(os.sep)
    if "images" not in parts:
        return None
    parts[len(parts) - 1 - parts[::-1].index("images")] = "labels"
    return os.sep.join(parts)


def read_labels(
    images: Sequence[Path],
    files: Sequence[Path],
    form: LabelForm,
    root: Path,
    exif: bool,
    max_pixels: int | None,
    found: list[Problem],
) -> list[list[RawBox] | None]:
    """The boxes of each image, in pixels as it is read; None where its label file cannot be read.

    files: the label file of each image, which need not be there.
    """
    pairs = list(zip(images, files, strict=True))
    read = read_all(lambda pair: _read_file(*pair, form, root, exif, max_pixels), pairs)
    doubt = not form.polygons and form.keypoints is None and _are_no_polygons(read)
    boxes: list[list[RawBox] | None] = []
    for (_, file), labels in zip(pairs, read, strict=True):
        found += labels.problems
        kept = []
        for label in labels.boxes:
            if label.count > 4 and form.keypoints is None and (doubt or label.outside):
                found.append(Problem("label of other meaning", shown(file, root), _asked(label, doubt)))
            else:
                kept.append(label.box)
        boxes.append(kept if labels.whole else None)
    if _seem_counted_from_one({box.name for each in boxes for box in each or ()}, form.names):
        detail = (
            f"no label is of class 0, and some are of class {len(form.names)}, as if they were counted from 1; YOLO's "
            "are counted from 0, and each is read as the class behind its own: put a line before the first name"
        )
        found.append(Problem("unknown class", shown(files[0].parent, root), detail))
    return boxes


def _seem_counted_from_one(occurring: Set[str], names: Sequence[str]) -> bool:
    beyond = {name for name in occurring if name not in names}
    return bool(names) and names[0] not in occurring and beyond == {f"class {len(names)}"}


def shown(path: Path, root: Path) -> str:
    """A path as problems name it: relative to the root where it lies below."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _are_no_polygons(read: Sequence[Labels]) -> bool:
    """Whether half of the lines that may be polygons, or more, fit another meaning by themselves; or all of them are
    equally long and fit boxes with keypoints, and half of them are no rectangles.

    A polygon can look like a box with keypoints by chance, a set of them does not.
    """
    long = [label for labels in read for label in labels.boxes if label.count > 4]
    if 2 * sum(label.meaning is not None for label in long) >= len(long):
        return bool(long)
    alike = len({label.count for label in long}) == 1 and all(label.in_box for label in long)
    return alike and 2 * sum(label.rectangle for label in long) < len(long)


def _asked(label: Label, doubt: bool) -> str:
    """doubt: whether the set's lines are no polygons."""
    meaning = label.in_box if doubt else label.meaning
    if meaning is None and label.outside:
        return (
            f"line {label.line} has {label.count} numbers behind its class, some of them far outside the image, which "
            "is 0 to 1 wide and high; left out"
        )
    taken = f"taken for {meaning}" if meaning else "among lines that are no polygons"
    return (
        f"line {label.line} has {label.count} numbers behind its class, {taken}; if that is so, state kpt_shape in the "
        "data.yaml or remove what stands behind the box; if it is a polygon, state task: segment there; left out"
    )


def _read_file(image: Path, file: Path, form: LabelForm, root: Path, exif: bool, max_pixels: int | None) -> Labels:
    if not os.path.lexists(file):
        return Labels()
    try:
        height, width = read_header(image, max_pixels=max_pixels).size_as_read(exif)
    except DataError:
        return Labels()  # index_images says so
    try:
        if not os.path.isfile(file):
            raise DataError(f"{file}: it is {_what_else(file)}, not a file; remove it, or bring the labels back")
        if os.path.getsize(file) > _MOST_BYTES:
            raise DataError(f"{file}: it is larger than {_MOST_BYTES >> 20} MiB, no labels of one image")
        text = read_text(file)
    except (DataError, OSError) as error:
        detail = f"{str(error).removeprefix(f'{file}: ')}; its image is left out"
        problem = Problem("annotation malformed", shown(file, root), detail, costs_image=True)
        return Labels(problems=[problem], whole=False)
    labels = Labels()
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        read = _read_line(words, form, width, height)
        if isinstance(read, RawBox):
            numbers = [float(word) for word in words[1:]]
            labels.boxes.append(_label(read, number, numbers))
        else:
            kind, expected = read
            detail = f"line {number}: got {line.strip()[:60]!r}, {expected}; left out"
            labels.problems.append(Problem(kind, shown(file, root), detail))
    return labels


def _what_else(file: Path) -> str:
    if os.path.isdir(file):
        return "a folder"
    return "a pipe, socket or device" if os.path.exists(file) else "a link that leads nowhere"


def _label(box: RawBox, line: int, numbers: Sequence[float]) -> Label:
    meaning = other_meaning(numbers)
    in_box = meaning or keypoints_in_box(numbers)
    return Label(box, line, len(numbers), meaning, in_box, is_rectangle(numbers), is_no_polygon(numbers))


def _read_line(words: Sequence[str], form: LabelForm, width: int, height: int) -> RawBox | tuple[ProblemKind, str]:
    """The box of a line, or what kind of problem it is and what was expected."""
    label = whole_number(words[0])
    numbers = [number for word in words[1:] if (number := finite_number(word)) is not None]
    if label is None or len(numbers) < len(words) - 1:
        wrong = f"{words[0][:20]!r} is no number of a class" if label is None else "not all of it is finite numbers"
        return "annotation malformed", f"{wrong}; expected class cx cy width height"
    count = len(numbers)
    problem = _wrong_count(count, form)
    if problem is not None:
        return problem
    if count == 4 or form.keypoints:
        cx, cy, w, h = numbers[:4]
        shares = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    else:
        xs, ys = numbers[::2], numbers[1::2]
        shares = (min(xs), min(ys), max(xs), max(ys))
    name = form.names[label] if 0 <= label < len(form.names) else f"class {label}"
    x1, y1, x2, y2 = shares
    return RawBox(name, (x1 * width, y1 * height, x2 * width, y2 * height))


def _wrong_count(count: int, form: LabelForm) -> tuple[ProblemKind, str] | None:
    """What is wrong with a line of this many numbers behind its class."""
    if count < 4:
        return "annotation malformed", "expected class cx cy width height"
    if count == 4:
        return None
    if form.keypoints:
        keypoints, each = form.keypoints
        if count == 4 + keypoints * each:
            return None
        return "label of other meaning", (
            f"expected {4 + keypoints * each} numbers behind the class, a box and what kpt_shape [{keypoints}, {each}] "
            "says; mend the lines or kpt_shape"
        )
    return None if count % 2 == 0 else ("label of other meaning", meaning_of_odd(count))
