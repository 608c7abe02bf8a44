"""YOLO text labels: one file an image with lines `class cx cy width height`, in shares of the image's sides.

Names of the classes come from a data.yaml (or classes.txt). A line with more than four numbers is a polygon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detres.config.yaml_bounds import MOST_BYTES
from detres.config.yaml_dialect import read_yaml_1_1
from detres.data.annotations import AnnotatedImages, Problem
from detres.data.classes import select_classes
from detres.data.images import find_images, read_header
from detres.data.indexing import RawBox, RawImage, index_images
from detres.errors import ConfigError, DataError
from detres.files.text import read_text


def load_yolo(
    root: Path, split: str, *, classes: Sequence[str] | None = None, exif: bool = True, strict: bool = False
) -> AnnotatedImages:
    """The images of a folder, or of a text file that lists them; `split` is its path below root.

    root: the folder, or the data.yaml in it. The labels of a/images/b.jpg are a/labels/b.txt, else a/images/b.txt; an
    image without that file has no objects.
    Raises DataError where the folder, the list or the class names are missing.
    """
    names = read_names(root)
    folder = root.parent if root.suffix in (".yaml", ".yml") else root
    files = _image_files(folder, split)
    found: list[Problem] = []
    stems = [file.stem for file in files]
    unique = len(set(stems)) == len(stems)
    images = []
    for file in files:
        shown = file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)
        image_id = file.stem if unique else shown.rpartition(".")[0]
        images.append(RawImage(shown, image_id, None, _read_boxes(file, names, exif, found)))
    return index_images(
        images,
        name=f"{folder.name}-{Path(split).name if Path(split).name != 'images' else Path(split).parent.name}",
        root=folder,
        known_classes=names,
        classes=select_classes(classes, names, str(root)),
        exif=exif,
        strict=strict,
        problems=found,
    )


def read_names(root: Path) -> list[str]:
    """Class names by number, from data.yaml (a list, or a mapping from numbers) or classes.txt."""
    candidates = [root] if root.suffix in (".yaml", ".yml") else [root / "data.yaml", root / "data.yml"]
    for file in candidates:
        if file.is_file():
            return names_in(read_data_yaml(file), str(file))
    listed = root / "classes.txt"
    if listed.is_file():
        return [line.strip() for line in listed.read_text(encoding="utf-8").splitlines() if line.strip()]
    looked = ", ".join(str(file) for file in [*candidates, listed])
    raise DataError(f"the class names were looked for in {looked} and not found; write `names: [...]` in a data.yaml")


def read_data_yaml(file: Path) -> Any:
    """A data.yaml as ultralytics reads it, in YAML 1.1 (our own dialect takes no numbers as keys)."""
    try:
        return read_yaml_1_1(read_text(file, most=MOST_BYTES), str(file))
    except ConfigError as error:
        raise DataError(str(error)) from None


def names_in(content: Any, where: str) -> list[str]:
    """The `names` of a data.yaml; DataError where there are none or their numbers leave gaps."""
    names = content.get("names") if isinstance(content, Mapping) else None
    if isinstance(names, Mapping) and names:
        by_number = {int(number): str(name) for number, name in names.items() if str(number).isdigit()}
        if sorted(by_number) == list(range(len(names))):
            return [by_number[number] for number in range(len(names))]
    elif isinstance(names, list) and names:
        return [str(name) for name in names]
    raise DataError(f"{where}: names: got {names!r}, expected a list of names, or one name for each number from 0 on")


def _image_files(folder: Path, split: str) -> list[Path]:
    place = folder / split
    if place.is_dir():
        return find_images(place)
    if place.suffix == ".txt" and place.is_file():
        lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
        # ultralytics' lists begin with ./ and are relative to the list.
        return [_first_there([place.parent / line, folder / line]) for line in lines if line]
    raise DataError(f"{place}: there is no such folder or list of images; check data.root and the split's name")


def _first_there(candidates: list[Path]) -> Path:
    return next((path for path in candidates if path.is_file()), candidates[0])


def label_file(image: Path) -> Path:
    """Where an image's labels are: in the labels/ that mirrors the last images/, else beside it."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        place = len(parts) - 2 - parts[-2::-1].index("images")
        mirrored = Path(*parts[:place], "labels", *parts[place + 1 :]).with_suffix(".txt")
        if mirrored.is_file():
            return mirrored
    return image.with_suffix(".txt")


def _read_boxes(image: Path, names: Sequence[str], exif: bool, found: list[Problem]) -> list[RawBox]:
    labels = label_file(image)
    if not labels.is_file():
        return []
    try:
        height, width = read_header(image).size_as_read(exif)
    except DataError:
        return []  # index_images says so
    boxes = []
    for number, line in enumerate(labels.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        box = _parse_line(line.split(), names, width, height)
        if box is None:
            detail = f"line {number}: got {line.strip()[:60]!r}, expected class cx cy width height; left out"
            found.append(Problem("annotation malformed", labels.name, detail))
        else:
            boxes.append(box)
    return boxes


def _parse_line(words: list[str], names: Sequence[str], width: int, height: int) -> RawBox | None:
    try:
        label, numbers = int(float(words[0])), [float(word) for word in words[1:]]
    except (ValueError, OverflowError):
        return None
    if len(numbers) != 4 and (len(numbers) < 6 or len(numbers) % 2):
        return None
    if not all(math.isfinite(number) for number in numbers):
        return None
    if len(numbers) == 4:
        cx, cy, w, h = numbers
        shares = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    else:
        xs, ys = numbers[::2], numbers[1::2]
        shares = (min(xs), min(ys), max(xs), max(ys))
    name = names[label] if 0 <= label < len(names) else f"class {label}"
    x1, y1, x2, y2 = shares
    return RawBox(name, (x1 * width, y1 * height, x2 * width, y2 * height))
