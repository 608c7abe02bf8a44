"""What --data takes: a yaml, our own or ultralytics' data.yaml; a folder, or an archive, that a format recognizes.

None of them is ever written to, and nothing in them is downloaded or run.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import ValidationError

from detres.config.classification_schema import ClassificationDataConfig
from detres.config.code_names import code_names
from detres.config.detection_schema import DataConfig
from detres.config.problems import describe_problems
from detres.config.yaml_bounds import MOST_BYTES
from detres.config.yaml_dialect import read_yaml
from detres.data.formats.class_folders import list_folders
from detres.data.formats.yolo.data_yaml import data_of_yaml
from detres.data.formats.yolo.reading import read_data_yaml
from detres.data.images.files import find_images, is_image
from detres.data.inside import absolute, spelled_there
from detres.data.looking import look
from detres.data.places import SplitName, places_of_set
from detres.data.recognition import is_recognized, levels, looked_for, recognize, what_lies_there
from detres.data.split_words import SPLIT_WORDS, split_of
from detres.data.unpacked import is_archive, unpacked
from detres.errors import ConfigError, DataError, UserError
from detres.files.places import local_place, nothing_there
from detres.files.text import read_text
from detres.tables import CLASSIFICATION_FORMATS, DETECTION_FORMATS

_DATA_YAMLS = ("data.yaml", "data.yml")
_SPLITS = ("train", "val", "test")
_MOST_YAMLS = 20
_OTHER_ARCHIVES = (".rar", ".7z", ".zipx", ".xz", ".bz2", ".zst")
_SET_APART = 0.1  # of a folder of images that has neither val nor test

D = TypeVar("D", DataConfig, ClassificationDataConfig)


class ClassificationDataFile(NamedTuple):
    """A data section of classes that --data names; said as DataFile has it."""

    data: ClassificationDataConfig
    said: tuple[str, ...] = ()


class DataFile(NamedTuple):
    """A data section that --data names.

    said: what people should know of how it was understood, a line each. stated: whether a file says so; a set that was
    recognized is nobody's statement.
    """

    data: DataConfig
    said: tuple[str, ...] = ()
    stated: bool = True


def load_data_file(path: str | Path) -> DataConfig:
    """read_data_file, without what is to be said."""
    return read_data_file(path).data


def read_data_file(path: str | Path) -> DataFile:
    """The data section a file or a folder states; what it leaves open has the defaults of DataConfig.

    path: a yaml of ours (format, root, train, val, test, classes, val_fraction and any other key of the data section;
    a split is one name or a list); an ultralytics data.yaml; a folder that holds either, or that a format recognizes;
    an archive of such a folder; a COCO annotation file.
    Raises ConfigError with every wrong key at once, DataError where there is no such file, and where none or several
    formats recognize it.
    """
    given = local_place(path, f"--data {path}")
    place = _unpacked(given)
    if os.path.isdir(place):
        found = _read_folder(place)
    elif not os.path.isfile(place):
        raise DataError(f"--data {given}: {nothing_there(given)}")
    elif place.suffix.lower() in (".yaml", ".yml"):
        return _read_yaml(place)
    else:
        found = _read_file(place)
    return found._replace(said=tuple(f"{_where(given, place)}: {line}" for line in found.said))


def load_classification_file(path: str | Path) -> ClassificationDataConfig:
    """read_classification_file, without what is to be said."""
    return read_classification_file(path).data


def read_classification_file(path: str | Path) -> ClassificationDataFile:
    """The data section of a classification set that a file or a folder states.

    path: a yaml of ours (format, root, train, val, test, and any other key of the data section), or a folder, or an
    archive of one: of class folders, or with class folders in train/ (and val/, test/). Where a folder has neither val
    nor test, a tenth of it is set apart. A yaml that names no split means train and val.
    Raises ConfigError with every wrong key at once, DataError where there is no such file.
    """
    given = local_place(path, f"--data {path}")
    place = _unpacked(given)
    if os.path.isdir(place):
        data = _from_class_folders(place)
        return ClassificationDataFile(data, (f"{_where(given, place)}: {_as_class_folders(data)}",))
    if not os.path.isfile(place):
        raise DataError(f"--data {place}: {nothing_there(place)}")
    return ClassificationDataFile(_from_ours(place, ClassificationDataConfig))


def task_of_data_file(path: str | Path) -> Literal["detection", "classification"]:
    """What the set that --data names is for, by its format; an embedded set of shapes is taken for detection's."""
    path = _unpacked(local_place(path, f"--data {path}"))
    if os.path.isdir(path):
        described = any(_describing_yaml(level) is not None or is_recognized(level) for level in levels(path))
        return "detection" if described else "classification"
    if not os.path.isfile(path) or path.suffix.lower() not in (".yaml", ".yml"):
        return "detection"
    content = read_data_yaml(path)
    stated = content.get("format") if isinstance(content, Mapping) else None
    ours = stated in CLASSIFICATION_FORMATS and stated not in DETECTION_FORMATS
    return "classification" if ours else "detection"


def _where(given: Path, place: Path) -> str:
    return f"--data {given}" + ("" if place == given else f", unpacked to {place}")


def _as_class_folders(data: ClassificationDataConfig) -> str:
    """How folders of classes were understood, for people."""
    (train,) = data.train
    classes = list_folders(Path(data.root or ".") / train)
    said = [f"{split}: {' + '.join(names)}" for split in _SPLITS if (names := getattr(data, split))]
    if data.val_fraction:
        said.append(f"val: {data.val_fraction:g} of it, set apart")
    return f"read as folder ({len(classes)} class folders in {train if train != '.' else 'it'}); {', '.join(said)}"


def _unpacked(place: Path) -> Path:
    return unpacked(place) if is_archive(place) else place


def _read_folder(folder: Path) -> DataFile:
    """What a yaml in it says, else what the formats do; or those of the one folder that is in it."""
    for level in levels(folder):
        described = _describing_yaml(level)
        if described is not None:
            data, said, _ = _read_yaml(described)
            return DataFile(data, (f"read as {described.relative_to(folder).as_posix()} says", *said))
        found = recognize(level)
        if found is not None:
            inside = "" if level == folder else f"in {level.relative_to(folder).as_posix()}/, "
            return DataFile(found.data, (inside + found.said,), stated=False)
    raise DataError(
        f"--data {folder}: a folder needs a data.yaml, or what a format is known by:\n{looked_for()}\n"
        f"{what_lies_there(folder)}"
    )


def _describing_yaml(folder: Path) -> Path | None:
    """The yaml that describes the set of a folder: data.yaml, or the only one that describes any."""
    for name in _DATA_YAMLS:
        if os.path.isfile(folder / name):
            return folder / name
    here = look(folder)
    others = [folder / name for name in [*here.ending(".yaml"), *here.ending(".yml")][:_MOST_YAMLS]]
    describing = [file for file in others if _describes(file)]
    if len(describing) > 1:
        names = ", ".join(file.name for file in describing)
        raise DataError(f"--data {folder}: {names} describe a set each; name the one that is meant, as --data FILE")
    return describing[0] if describing else None


def _describes(file: Path) -> bool:
    """Whether a yaml has what a description of a set has; configs of other tools lie beside sets as well."""
    try:
        content = read_data_yaml(file)
    except UserError:
        return False
    if not isinstance(content, Mapping) or not any(split in content for split in _SPLITS):
        return False
    return "names" in content or content.get("format") in DETECTION_FORMATS


def _read_yaml(path: Path) -> DataFile:
    content = read_data_yaml(path)
    if isinstance(content, Mapping) and "names" in content and "format" not in content:
        return DataFile(*data_of_yaml(content, path))
    return DataFile(_from_ours(path, DataConfig))


def _read_file(path: Path) -> DataFile:
    """A file that is neither a yaml nor an archive."""
    found = recognize(path)
    if found is not None:
        return DataFile(found.data, (found.said,), stated=False)
    if is_image(path.name):
        raise DataError(
            f"--data {path}: this is one picture; a set is a folder of pictures with labels, and `detres predict` "
            "finds objects on pictures"
        )
    if path.suffix.lower() == ".json":
        raise DataError(
            f"--data {path}: no format knows this annotation file; write a yaml that says what it is, such as\n"
            f"  format: coco\n  root: {path.parent}\n  train: {path.name}\n  val_fraction: 0.1"
        )
    if (why_not := _why_no_description(path)) is not None:
        raise DataError(f"--data {path}: {why_not}")
    return _read_yaml(path)


def _why_no_description(path: Path) -> str | None:
    """What a file is instead of a set or a description of one, as far as its ending tells."""
    ending = path.suffix.lower()
    if ending in _OTHER_ARCHIVES:
        return "archives of this kind are not unpacked here; unpack it, and give its folder"
    if ending in (".xml", ".txt", ".csv", ".names"):
        return (
            "no format knows this file as a whole set; give the folder that the labels and their pictures lie in, as "
            f"--data {shlex.quote(str(path.parent))}, which says what is missing"
        )
    return None


def _from_class_folders(folder: Path) -> ClassificationDataConfig:
    folder = next(
        (level for level in levels(folder) if len(list_folders(level)) > 1 and not split_of(level.name)), folder
    )

    def split(name: SplitName) -> tuple[str, ...]:
        return next(((word,) for word in SPLIT_WORDS[name] if os.path.isdir(folder / word)), ())

    train, val, test = split("train") or (".",), split("val"), split("test")
    classes = list_folders(folder / train[0])
    if [name.lower() for name in classes if name.lower() not in ("labels", "annotations")] == ["images"]:
        raise DataError(
            f"--data {folder}: its only class would be images, which holds the images of a detection set, and no "
            f"annotation file of one is there: neither a data.yaml nor what a format is known by:\n{looked_for()}\n"
            "A set to classify is a folder a class"
        )
    if not any(find_images(folder / train[0] / name) for name in classes):
        raise DataError(
            f"--data {folder}: no folders with images in {folder / train[0]}; a set is a folder a class, as in "
            f"train/cat/1.jpg and val/cat/2.jpg, or cat/1.jpg. A set of boxes has a data.yaml, or what a format is "
            f"known by:\n{looked_for()}\n{what_lies_there(folder)}"
        )
    fraction = 0.0 if val or test else _SET_APART
    return ClassificationDataConfig(
        format="folder", root=absolute(folder), train=train, val=val, test=test, val_fraction=fraction
    )


def _from_ours(path: Path, schema: type[D]) -> D:
    content, lines = read_yaml(read_text(path, most=MOST_BYTES), str(path))
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: got {type(content).__name__}, expected keys such as format, root, train, val, test")
    for name in code_names({"data": content}):
        line = lines.get(name.key[1:], 1)
        raise ConfigError(
            f"{path}: {name}, which a data file never may: it could be anyone's (line {line}); if you mean it, state "
            f"it in your own --cfg file, or as {'.'.join(name.key)}=..."
        )
    values = {key: [value] if key in _SPLITS and isinstance(value, str) else value for key, value in content.items()}
    values = {key: [] if key in _SPLITS and value is None else value for key, value in values.items()}
    try:
        data = schema.model_validate(_unnamed(values, schema) | values)
    except ValidationError as error:
        problems = describe_problems(error, schema)
        raise ConfigError(
            "\n".join(f"{path}: {text} (line {lines.get(where[:1], 1)})" for where, text in problems)
        ) from None
    if data.format == "shapes" and data.root is None:
        return data
    # A root stands relative to the file that names it. Where nothing is there, it may be where any set may be; and
    # where it is not, the place beside the file is the one to be told of.
    root = spelled_there(local_place(data.root or ".", f"{path}: root: {data.root}"), path.parent)
    beside = path.parent / root
    elsewhere = next((place for place in places_of_set(root) if os.path.exists(place)), None)
    if not os.path.exists(beside) and elsewhere is not None:
        return data.model_copy(update={"root": str(root)} | _spelled_splits(data, elsewhere))
    return data.model_copy(update={"root": absolute(beside)} | _spelled_splits(data, beside))


def _spelled_splits(data: DataConfig | ClassificationDataConfig, root: Path) -> dict[str, tuple[str, ...]]:
    """The splits with slashes for the backslashes of Windows, unless there is a file or folder of that very name."""

    def spelled(name: str) -> str:
        file, mark, _ = name.partition(".json:")
        return name if os.path.lexists(root / f"{file}{mark[:-1]}") else name.replace("\\", "/")

    return {split: tuple(map(spelled, getattr(data, split))) for split in _SPLITS}


def _unnamed(values: Mapping[str, Any], schema: type[D]) -> dict[str, Any]:
    """What holds of splits that a file does not name: the usual val is meant only where the file names no other."""
    usual = {split: schema.model_fields[split].default for split in _SPLITS}
    return usual | ({"val": ()} if any(key in values for key in (*_SPLITS, "val_fraction")) else {})
