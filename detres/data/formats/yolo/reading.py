"""YOLO sets: folders or lists of images, a text file of labels for each (labels.py).

Names of the classes come from a data.yaml, or classes.txt.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detres.config.yaml_bounds import MOST_BYTES
from detres.config.yaml_dialect import read_yaml_1_1
from detres.data.classes import class_name, select_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.indexing import RawImage, index_images, other_forms
from detres.data.formats.yolo.class_lists import class_lists, find_class_list
from detres.data.formats.yolo.labels import LabelForm, label_file, mirrored_folder, read_labels, shown
from detres.data.formats.yolo.unused_labels import match_labels
from detres.data.images.files import is_photograph, list_images, others_problem, printable
from detres.data.inside import absolute, below, forms_of
from detres.data.problems import Problem
from detres.data.values import stem_ids, whole_number
from detres.errors import ConfigError, DataError
from detres.files.many import read_all
from detres.files.text import MOST_LIST_BYTES, read_lines, read_text


def load_yolo(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    exif: bool = True,
    max_pixels: int | None = None,
    strict: bool | None = False,
) -> AnnotatedImages:
    """The images of a folder, or of a text file that lists them; `split` is its path below root.

    root: the folder, or the data.yaml in it. The labels of a/images/b.jpg are a/labels/b.txt, else a/images/b.txt; an
    image without that file has no objects.
    A list may name images below its own folder, below the root and below the data.yaml's `path`; any others only where
    the user names the list itself by its full path.
    Raises DataError where the folder, the list or the class names are missing.
    """
    form, described = read_form(root)
    folder = root.parent if _is_yaml(root) else root
    found = [
        Problem("class named twice", shown(described, folder), f"{name}; its boxes are of one class")
        for name, count in Counter(form.names).items()
        if count > 1
    ]
    if form.stated not in (None, len(form.names)):
        detail = f"nc is {form.stated}, and it has {len(form.names)} names; these are its classes"
        found.append(Problem("written otherwise", shown(described, folder), detail))
    place = folder / split
    files = _writable_names(_image_files(root, folder, split, found), found)
    labels = [label_file(file) for file in files]
    files, labels = _one_image_a_label(files, labels, folder, found)
    labels = match_labels(files, labels, place, folder, found)
    if files and not any(map(os.path.isfile, labels)):
        looked = mirrored_folder(place) or place
        detail = f"none of its {len(files)} images has a label file, such as {labels[0].name} in {looked} or beside it"
        found.append(Problem("set without annotations", split, detail))
    boxes = read_labels(files, labels, form, folder, exif, max_pixels, found)
    names = [shown(file, folder) for file in files]
    images = [
        RawImage(name, image_id, None, each)
        for name, image_id, each in zip(names, stem_ids(names), boxes, strict=True)
        if each is not None
    ]
    stem = Path(split).name if Path(split).name != "images" else Path(split).parent.name
    return index_images(
        images,
        name=f"{folder.name}-{stem}" if stem else folder.name,
        root=folder,
        known_classes=form.names,
        classes=select_classes(classes, form.names, str(root)),
        exif=exif,
        max_pixels=max_pixels,
        strict=strict,
        problems=found,
    )


def read_form(root: Path) -> tuple[LabelForm, Path]:
    """What a set's labels are, and the file that says so: its data.yaml (class names as a list or by number,
    kpt_shape), else classes.txt."""
    candidates = [root] if _is_yaml(root) else [root / "data.yaml", root / "data.yml"]
    for file in candidates:
        if os.path.isfile(file):
            content = read_data_yaml(file)
            if not is_ours(content):
                return _form_in(content, str(file)), file
    folder = root.parent if _is_yaml(root) else root
    listed = find_class_list(folder)
    if listed is not None:
        return LabelForm(names_by_line(listed)), listed
    looked = ", ".join(str(file) for file in [*candidates, class_lists(folder)[0]])
    raise DataError(f"the class names were looked for in {looked} and not found; write `names: [...]` in a data.yaml")


def is_ours(content: Any) -> bool:
    """Whether a yaml is one of ours, which says what format a set has, and not how its classes are called."""
    return isinstance(content, Mapping) and "format" in content and "names" not in content


def names_by_line(file: Path) -> list[str]:
    lines = [class_name(line) for line in read_text(file).rstrip().split("\n")]
    if "" in lines:
        raise DataError(
            f"{file}: line {lines.index('') + 1} is empty, and lines are counted: is there a class without a name, or "
            "should the line go?"
        )
    return lines


def _is_yaml(path: Path) -> bool:
    return path.suffix in (".yaml", ".yml")


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
        by_number = {whole_number(number): name for number, name in names.items()}
        if len(by_number) == len(names) and set(by_number) == set(range(len(names))):
            return _as_text([by_number[number] for number in range(len(names))], where)
    elif isinstance(names, list) and names:
        return _as_text(names, where)
    raise DataError(f"{where}: names: got {names!r}, expected a list of names, or one name for each number from 0 on")


def _as_text(names: Sequence[Any], where: str) -> list[str]:
    for number, name in enumerate(names):
        if isinstance(name, bool | None | Mapping | Sequence) and not (isinstance(name, str) and name.strip()):
            raise DataError(
                f"{where}: names: number {number} reads as {name!r}, which is no name; put it in quotes, as in 'no'"
            )
    return [class_name(str(name)) for name in names]


def _form_in(content: Any, where: str) -> LabelForm:
    names, count = names_in(content, where), whole_number(content.get("nc"))
    stated, task = content.get("kpt_shape"), content.get("task")
    if stated is None:
        if task == "pose":
            raise DataError(f"{where}: task: pose needs kpt_shape, such as [17, 3] for 17 keypoints of 3 numbers")
        return LabelForm(names, polygons=task in ("segment", "obb"), stated=count)
    shape = [whole_number(number) for number in stated] if isinstance(stated, list) else []
    if len(shape) != 2 or shape[0] is None or shape[0] < 1 or shape[1] not in (2, 3):
        raise DataError(f"{where}: kpt_shape: got {stated!r}, expected [K, 2] or [K, 3] for K keypoints")
    return LabelForm(names, keypoints=(shape[0], shape[1]), stated=count)


def _image_files(root: Path, folder: Path, split: str, found: list[Problem]) -> list[Path]:
    place = folder / split
    if os.path.isdir(place):
        images = list_images(place)
        found += others_problem(images.others, split)
        return sorted(place / name for name in images.names)
    if place.suffix.lower() != ".txt" or not os.path.isfile(place):
        raise DataError(f"{place}: there is no such folder or list of images; check data.root and the split's name")
    bases, anywhere = _stated_places(root, folder, split)
    lines = read_lines(place, most=MOST_LIST_BYTES)
    files = read_all(lambda line: _listed_image(line, bases, anywhere), lines)
    for line, file in zip(lines, files, strict=True):
        if file is None:
            detail = (
                f"{line[:80]!r} lies neither below the list's folder nor in the set; left out. A list that is named by "
                "its full path may name images anywhere"
            )
            found.append(Problem("name outside the set", shown(place, folder), detail, costs_image=True))
    return [file for file in files if file is not None]


def _stated_places(root: Path, folder: Path, split: str) -> tuple[list[Path], bool]:
    """The folders that a list's names are relative to, and whether the list may name images anywhere."""
    place = folder / split
    if not _is_yaml(root):
        return [place.parent, folder], os.path.isabs(split)
    content = read_data_yaml(root)
    path = str(content.get("path") or ".")
    stated = [Path(path) / str(name) for key in ("train", "val", "test") for name in _as_list(content.get(key))]
    full = {os.path.abspath(name) for name in stated if name.is_absolute()}
    return [place.parent, *(folder / form for form in forms_of(path)), folder], os.path.abspath(place) in full


def _as_list(stated: Any) -> list[Any]:
    return stated if isinstance(stated, list) else [stated] if stated else []


def _listed_image(line: str, bases: Sequence[Path], anywhere: bool) -> Path | None:
    """The image that a line of a list names, the first that is there; None where it may not be read."""
    # ultralytics' lists begin with ./ and are relative to the list.
    spellings = [line, *other_forms(line)]
    paths = [base / form for spelling in spellings for form in forms_of(spelling) for base in bases]
    allowed = [
        path for path in paths if anywhere or any(below(os.path.abspath(path), base) is not None for base in bases)
    ]
    found = next((path for path in allowed if os.path.isfile(path)), allowed[0] if allowed else None)
    return Path(absolute(found)) if found is not None and ".." in found.parts else found


def _writable_names(files: Sequence[Path], found: list[Problem]) -> list[Path]:
    """The files whose names are UTF-8: no others can be written into annotations."""
    kept = []
    for file in files:
        try:
            str(file).encode()
            kept.append(file)
        except UnicodeEncodeError:
            detail = "its name is no UTF-8; rename it; left out"
            found.append(Problem("image unreadable", printable(file.name), detail, costs_image=True))
    return kept


def _one_image_a_label(
    files: Sequence[Path], labels: Sequence[Path], folder: Path, found: list[Problem]
) -> tuple[list[Path], list[Path]]:
    """Of several images with one label file the photograph, which masks and drawings lie beside."""
    if len(set(map(str, labels))) == len(labels):
        return list(files), list(labels)
    sharing: dict[Path, set[Path]] = {}
    for file, label in zip(files, labels, strict=True):
        sharing.setdefault(label, set()).add(file)
    kept = []
    for file, label in zip(files, labels, strict=True):
        others = sharing[label]
        taken = min(others, key=lambda other: (not is_photograph(other.name), other)) if len(others) > 1 else file
        if file == taken or not os.path.isfile(label):
            kept.append((file, label))
        else:
            detail = f"{taken.name} has the same label file, {shown(label, folder)}, and is taken; left out"
            found.append(Problem("picture in doubt", shown(file, folder), detail, costs_image=True))
    return [file for file, _ in kept], [label for _, label in kept]
