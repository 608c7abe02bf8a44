"""What --data takes: our own yaml, ultralytics' data.yaml, a folder exported by Roboflow for COCO, or one of images.

None of them is ever written to, and nothing in them is downloaded or run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import ValidationError

from detres.config.classification_schema import ClassificationDataConfig
from detres.config.code_names import code_names
from detres.config.problems import describe_problems
from detres.config.schema import DataConfig
from detres.config.yaml_bounds import MOST_BYTES
from detres.config.yaml_dialect import read_yaml
from detres.data.datasets import datasets_root, places_of_set
from detres.data.images import find_images
from detres.data.yolo import names_in, read_data_yaml
from detres.errors import ConfigError, DataError
from detres.files.places import local_place
from detres.files.text import read_text

_ROBOFLOW_FILE = "_annotations.coco.json"
_DATA_YAMLS = ("data.yaml", "data.yml")
_SPLITS = ("train", "val", "test")
_VAL_FOLDERS = ("val", "valid", "validation")
_SET_APART = 0.1  # of a folder of images that has no val

D = TypeVar("D", DataConfig, ClassificationDataConfig)


def load_data_file(path: str | Path) -> DataConfig:
    """The data section a file states; what it leaves open has the defaults of DataConfig.

    path: a yaml of ours (format, root, train, val, test, classes, val_fraction and any other key of the data section;
    a split is one name or a list); an ultralytics data.yaml; a Roboflow COCO export, by its folder or any of its
    _annotations.coco.json; or a folder that holds a data.yaml.
    Raises ConfigError with every wrong key at once, DataError where there is no such file.
    """
    path = local_place(path, f"--data {path}")
    if path.is_dir():
        return _load_folder(path)
    if not path.is_file():
        raise DataError(f"--data {path}: there is no such file or folder")
    if path.suffix == ".json":
        if path.name == _ROBOFLOW_FILE:
            return _from_roboflow(path.parent.parent)
        raise DataError(
            f"--data {path}: an annotation file does not say which split it is; write a yaml such as\n"
            f"  format: coco\n  root: {path.parent}\n  train: {path.name}\n  val_fraction: 0.1"
        )
    content = read_data_yaml(path)
    if isinstance(content, Mapping) and "names" in content and "format" not in content:
        return _from_ultralytics(content, path)
    return _from_ours(path, DataConfig)


def load_classification_file(path: str | Path) -> ClassificationDataConfig:
    """The data section of a classification set that a file or a folder states.

    path: a yaml of ours (format, root, train, val, test, and any other key of the data section), or a folder: of class
    folders, or with class folders in train/ (and val/, test/). Where a folder has neither val nor test, a tenth of it
    is set apart. A yaml that names no split means train and val.
    Raises ConfigError with every wrong key at once, DataError where there is no such file.
    """
    path = local_place(path, f"--data {path}")
    if path.is_dir():
        return _from_class_folders(path)
    if not path.is_file():
        raise DataError(f"--data {path}: there is no such file or folder")
    return _from_ours(path, ClassificationDataConfig)


def task_of_data_file(path: str | Path) -> Literal["detection", "classification"]:
    """What the set that --data names is for, by its format; an embedded set of shapes is taken for detection's."""
    path = local_place(path, f"--data {path}")
    if path.is_dir():
        described = any(path.glob(f"*/{_ROBOFLOW_FILE}")) or any((path / name).is_file() for name in _DATA_YAMLS)
        return "detection" if described else "classification"
    if not path.is_file() or path.suffix == ".json":
        return "detection"
    content = read_data_yaml(path)
    stated = content.get("format") if isinstance(content, Mapping) else None
    return "classification" if stated in ("imagenet", "folder", "cifar10", "webdataset") else "detection"


def _from_class_folders(folder: Path) -> ClassificationDataConfig:
    def split(*names: str) -> tuple[str, ...]:
        return next(((name,) for name in names if (folder / name).is_dir()), ())

    train, val, test = split("train") or (".",), split(*_VAL_FOLDERS), split("test")
    if not any(find_images(below) for below in (folder / train[0]).iterdir() if below.is_dir()):
        raise DataError(
            f"--data {folder}: no folders with images in {folder / train[0]}; a set is a folder a class, as in "
            "train/cat/1.jpg and val/cat/2.jpg, or cat/1.jpg"
        )
    fraction = 0.0 if val or test else _SET_APART
    return ClassificationDataConfig(
        format="folder", root=str(folder.resolve()), train=train, val=val, test=test, val_fraction=fraction
    )


def _load_folder(folder: Path) -> DataConfig:
    if any(folder.glob(f"*/{_ROBOFLOW_FILE}")):
        return _from_roboflow(folder)
    for name in _DATA_YAMLS:
        if (folder / name).is_file():
            return load_data_file(folder / name)
    raise DataError(f"--data {folder}: a folder needs a data.yaml, or {_ROBOFLOW_FILE} in train/, valid/ and test/")


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
    root = local_place(data.root or ".", f"{path}: root: {data.root}")
    beside = path.parent / root
    if not beside.exists() and any(place.exists() for place in places_of_set(root)):
        return data
    return data.model_copy(update={"root": str(beside.resolve())})


def _unnamed(values: Mapping[str, Any], schema: type[D]) -> dict[str, Any]:
    """What holds of splits that a file does not name: the usual val is meant only where the file names no other."""
    usual = {split: schema.model_fields[split].default for split in _SPLITS}
    return usual | ({"val": ()} if any(key in values for key in (*_SPLITS, "val_fraction")) else {})


def _from_ultralytics(content: Mapping[str, Any], path: Path) -> DataConfig:
    names_in(content, str(path))  # says at once where the names are no names
    if not any(content.get(split) for split in _SPLITS):
        raise DataError(f"{path}: it names neither train, val nor test; each is a folder of images or a list of files")
    splits = {split: _ultralytics_split(content, split, path) for split in _SPLITS}
    return DataConfig(format="yolo", root=str(path.resolve()), **splits)


def _ultralytics_split(content: Mapping[str, Any], split: str, path: Path) -> tuple[str, ...]:
    stated = content.get(split) or ()
    base = local_place(str(content.get("path") or "."), f"{path}: path: {content.get('path')}")
    listed = [stated] if isinstance(stated, str) else stated
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        got = f"{stated!r}"[:60]
        raise DataError(f"{path}: {split}: got {got}, expected a folder of images, a file that lists them, or a list")
    places = [local_place(name, f"{path}: {split}: {name}") for name in listed]
    return tuple(_resolve(str(place), base, path.parent) for place in places)


def _resolve(name: str, base: Path, beside: Path) -> str:
    """The first place that exists of those ultralytics and Roboflow mean, as a full path."""
    # Roboflow's exports say ../train/images and mean train/images.
    names = [name, name.removeprefix("../")]
    candidates = [root / base / each for each in names for root in (beside, Path.cwd(), datasets_root())]
    candidates += [beside / each for each in names]
    found = next((place for place in candidates if place.exists()), candidates[0])
    return str(found.resolve())


def _from_roboflow(folder: Path) -> DataConfig:
    def split(*names: str) -> tuple[str, ...]:
        return tuple(f"{name}/{_ROBOFLOW_FILE}:{name}" for name in names if (folder / name / _ROBOFLOW_FILE).is_file())

    return DataConfig(
        format="coco", root=str(folder.resolve()), train=split("train"), val=split("valid", "val"), test=split("test")
    )
