"""What --data takes: our own yaml, ultralytics' data.yaml, a folder exported by Roboflow for COCO, or one of images.

None of them is ever written to, and nothing in them is downloaded or run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
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
from detres.data.formats.coco.folder import coco_splits, is_coco_folder
from detres.data.formats.yolo.reading import names_in, read_data_yaml
from detres.data.images.files import find_images
from detres.data.inside import absolute
from detres.data.places import datasets_root, places_of_set
from detres.errors import ConfigError, DataError
from detres.files.places import local_place
from detres.files.text import read_text
from detres.tables import CLASSIFICATION_FORMATS, DETECTION_FORMATS

_ROBOFLOW_FILE = "_annotations.coco.json"
_DATA_YAMLS = ("data.yaml", "data.yml")
_SPLITS = ("train", "val", "test")
_VAL_FOLDERS = ("val", "valid", "validation")
_SET_APART = 0.1  # of a folder of images that has neither val nor test

D = TypeVar("D", DataConfig, ClassificationDataConfig)


def load_data_file(path: str | Path) -> DataConfig:
    """The data section a file states; what it leaves open has the defaults of DataConfig.

    path: a yaml of ours (format, root, train, val, test, classes, val_fraction and any other key of the data section;
    a split is one name or a list); an ultralytics data.yaml; a Roboflow COCO export, by its folder or any of its
    _annotations.coco.json; or a folder that holds a data.yaml.
    Raises ConfigError with every wrong key at once, DataError where there is no such file.
    """
    path = local_place(path, f"--data {path}")
    if os.path.isdir(path):
        return _load_folder(path)
    if not os.path.isfile(path):
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
    if os.path.isdir(path):
        return _from_class_folders(path)
    if not os.path.isfile(path):
        raise DataError(f"--data {path}: there is no such file or folder")
    return _from_ours(path, ClassificationDataConfig)


def task_of_data_file(path: str | Path) -> Literal["detection", "classification"]:
    """What the set that --data names is for, by its format; an embedded set of shapes is taken for detection's."""
    path = local_place(path, f"--data {path}")
    if os.path.isdir(path):
        described = any(path.glob(f"*/{_ROBOFLOW_FILE}")) or any(os.path.isfile(path / name) for name in _DATA_YAMLS)
        return "detection" if described or is_coco_folder(path) else "classification"
    if not os.path.isfile(path) or path.suffix == ".json":
        return "detection"
    content = read_data_yaml(path)
    stated = content.get("format") if isinstance(content, Mapping) else None
    ours = stated in CLASSIFICATION_FORMATS and stated not in DETECTION_FORMATS
    return "classification" if ours else "detection"


def _from_class_folders(folder: Path) -> ClassificationDataConfig:
    def split(*names: str) -> tuple[str, ...]:
        return next(((name,) for name in names if os.path.isdir(folder / name)), ())

    train, val, test = split("train") or (".",), split(*_VAL_FOLDERS), split("test")
    classes = list_folders(folder / train[0])
    if [name.lower() for name in classes if name.lower() not in ("labels", "annotations")] == ["images"]:
        raise DataError(
            f"--data {folder}: its only class would be images, which holds the images of a detection set, and no "
            "annotation file of one is there: neither a data.yaml nor COCO's; a set to classify is a folder a class"
        )
    if not any(find_images(folder / train[0] / name) for name in classes):
        raise DataError(
            f"--data {folder}: no folders with images in {folder / train[0]}; a set is a folder a class, as in "
            "train/cat/1.jpg and val/cat/2.jpg, or cat/1.jpg"
        )
    fraction = 0.0 if val or test else _SET_APART
    return ClassificationDataConfig(
        format="folder", root=absolute(folder), train=train, val=val, test=test, val_fraction=fraction
    )


def _load_folder(folder: Path) -> DataConfig:
    if any(folder.glob(f"*/{_ROBOFLOW_FILE}")):
        return _from_roboflow(folder)
    for name in _DATA_YAMLS:
        if os.path.isfile(folder / name):
            return load_data_file(folder / name)
    if is_coco_folder(folder):
        splits = coco_splits(folder)
        fraction = 0.0 if "val" in splits or "test" in splits else _SET_APART
        return DataConfig(format="coco", root=str(folder.resolve()), **splits, val_fraction=fraction)
    raise DataError(
        f"--data {folder}: a folder needs a data.yaml, COCO's annotation files, or {_ROBOFLOW_FILE} in train/, valid/ "
        "and test/"
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
    root = _spelled(local_place(data.root or ".", f"{path}: root: {data.root}"), path.parent)
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


def _from_ultralytics(content: Mapping[str, Any], path: Path) -> DataConfig:
    names_in(content, str(path))  # says at once where the names are no names
    if not any(content.get(split) for split in _SPLITS):
        raise DataError(f"{path}: it names neither train, val nor test; each is a folder of images or a list of files")
    named = {split: _ultralytics_split(content, split, path) for split in _SPLITS}
    base = content.get("path") or "."
    _refuse_no_name(base, "path", path)
    places = [name for names in named.values() for name in names]
    chosen = _base_of(places, _spelled(local_place(base, f"{path}: path: {base}"), path.parent), path.parent)
    splits = {split: tuple(absolute(chosen.place(name)) for name in names) for split, names in named.items()}
    return DataConfig(format="yolo", root=absolute(path), **splits)


def _ultralytics_split(content: Mapping[str, Any], split: str, path: Path) -> list[Path]:
    """The names of a split, as they stand."""
    stated = content.get(split) or []
    names = stated if isinstance(stated, list) else [stated]
    for name in names:
        _refuse_no_name(name, split, path)
    return [local_place(name, f"{path}: {split}: {name}") for name in names]


def _refuse_no_name(value: Any, key: str, path: Path) -> None:
    if not isinstance(value, str):
        got = f"{value!r}"[:60]
        raise DataError(f"{path}: {key}: got {got}, expected the name of a folder or of a list of files")


class _Base(NamedTuple):
    """What the splits of an ultralytics data.yaml are relative to.

    exported: whether they are as Roboflow writes them, ../train/images for train/images.
    """

    folder: Path
    exported: bool

    def place(self, name: Path) -> Path:
        spelled = _spelled(name, self.folder)
        return self.folder / (str(spelled).removeprefix("../") if self.exported else spelled)


def _base_of(names: Sequence[Path], stated: Path, beside: Path) -> _Base:
    """The one base of all splits: of two, one split would be of another set that has a folder of its name.

    stated: what the yaml says its splits are below; beside: its own folder. That comes first where anything named is
    there; else the one of ultralytics' other places with the most of them; where none has any, the yaml's own folder.
    Names from the file system's root on are the same below each, and do not count.
    """
    relative = [name for name in names if not name.is_absolute()]

    def count(base: _Base) -> int:
        return sum(os.path.exists(base.place(name)) for name in relative)

    def bases(*folders: Path) -> list[_Base]:
        return [_Base(folder, exported) for exported in (False, True) for folder in folders]

    own = max(bases(beside / stated), key=count)
    if count(own):
        return own
    others = [*bases(Path.cwd() / stated, datasets_root() / stated), *bases(beside)]
    best = max(others, key=count)
    return best if count(best) else own


def _spelled(name: Path, base: Path) -> Path:
    """A name as it stands where it is there below `base`, else as Windows means it, with slashes for backslashes."""
    return name if os.path.lexists(base / name) else Path(str(name).replace("\\", "/"))


def _from_roboflow(folder: Path) -> DataConfig:
    def split(*names: str) -> tuple[str, ...]:
        return tuple(
            f"{name}/{_ROBOFLOW_FILE}:{name}" for name in names if os.path.isfile(folder / name / _ROBOFLOW_FILE)
        )

    return DataConfig(
        format="coco", root=absolute(folder), train=split("train"), val=split("valid", "val"), test=split("test")
    )
