"""From a config's data section to annotated images.

How a split is written, by format:
  coco    annotations/instances_train2017.json, or train.json:FOLDER where the images are not found by themselves
  voc     YEAR/LIST such as 2007/trainval, or LIST where the root itself holds Annotations/ and ImageSets/
  yolo    a folder of images, or a text file that lists them
  imagenet_det  a list of ImageSets/DET such as val, or one of one's own; train, or train:1000 for fewer of a class
  shapes  train, val or test
Several splits are joined in order (2007/trainval and 2012/trainval are the field's 07+12).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from detres.config.classification_schema import ClassificationDataConfig
from detres.config.localization_schema import LocalizationDataConfig
from detres.config.schema import DataConfig
from detres.data.annotations import AnnotatedImages, Problem, ProblemKind, concatenate
from detres.data.coco import load_coco
from detres.data.coco_json import GET_COCO, how_to_get
from detres.data.imagenet_det import GET_DET, load_imagenet_det
from detres.data.indexing import listed
from detres.data.shapes import load_shapes
from detres.data.voc import GET_VOC, load_voc
from detres.data.yolo import load_yolo
from detres.draws import Purpose, numpy_generator
from detres.errors import DataError
from detres.files.places import local_place

# What costs boxes of images that are there.
_OF_BOXES: frozenset[ProblemKind] = frozenset(
    {
        *("annotation malformed", "label of other meaning", "box without area", "box outside the image"),
        *("unknown class", "unknown image", "image id twice", "category id twice"),
    }
)

# What a set of one's own looks like below its root, by format.
_LAYOUTS = {
    "coco": "an instances JSON lies with its images beside it, in images/ or in a folder of the JSON's ending",
    "yolo": "images/, labels/ and a data.yaml or a classes.txt lie",
    "folder": "train/ and val/ hold a folder of images a class",
    "webdataset": "tar files of KEY.jpg with KEY.cls (or KEY.json) lie beside a classes.txt",
}

SplitName = Literal["train", "val", "test"]


def load_dataset(data: DataConfig, split: SplitName, *, base: Path | None = None) -> AnnotatedImages:
    """The annotated images of one split, checked.

    base: the folder that a relative root is looked for in first. Where there is no val, val_fraction of the training
    images are val and the rest are train; which ones depends on nothing but their number.
    data.difficult is a matter of training: AnnotatedImages.with_difficult.
    Raises DataError where the root, the split or a file is missing, with data.strict where anything is wrong, and for
    train where nothing is left to learn from.
    """
    dataset = load_split(data, split, base=base)
    nothing = nothing_to_learn(dataset, data) if split == "train" else None
    if nothing is not None:
        raise DataError(f"{dataset.name}: {nothing}; check data.train" + listed(dataset.problems))
    return dataset


def load_split(data: DataConfig, split: SplitName, *, base: Path | None = None) -> AnnotatedImages:
    """load_dataset for those who only look at a set: a train that teaches nothing is as good as any."""
    if split == "val" and not data.val and data.val_fraction:
        return _set_apart(load_listed(data, data.train, base), data.val_fraction, chosen=True)
    named = {"train": data.train, "val": data.val, "test": data.test}[split]
    if not named:
        raise DataError(describe_missing_split(data, split))
    dataset = load_listed(data, named, base)
    if split == "train" and not data.val and data.val_fraction:
        return _set_apart(dataset, data.val_fraction, chosen=False)
    return dataset


def nothing_to_learn(dataset: AnnotatedImages, data: DataConfig) -> str | None:
    """Why a detector would learn nothing from these images, with the key that may mend it; None where it would."""
    images, boxes = len(dataset), len(dataset.boxes)
    if not boxes:
        return f"none of its {images} images has a box to learn from"
    if dataset.ignore.all() and data.difficult != "positive":
        crowd = int(dataset.crowd.sum())
        return (
            f"none of its {images} images has a box to learn from: all {boxes} boxes are to be ignored ({crowd} crowd, "
            f"{boxes - crowd} difficult), as some converters mark every box; data.difficult=positive learns from them"
        )
    return None


def nothing_to_measure(dataset: AnnotatedImages) -> Problem | None:
    """Why every figure of a set that is annotated would be undefined; None where one can be measured.

    A set of which nothing is annotated, such as test-dev's, is none of these: a server measures on it.
    """
    boxes = len(dataset.boxes)
    if boxes and dataset.ignore.all():
        crowd = int(dataset.crowd.sum())
        detail = (
            f"all {boxes} boxes are to be ignored ({crowd} crowd, {boxes - crowd} difficult), as some converters mark "
            "every box, so that no figure is defined"
        )
        return Problem("nothing to measure", dataset.name, detail)
    lost = [problem for problem in dataset.problems if problem.kind in _OF_BOXES]
    if boxes or not lost:
        return None
    detail = f"things are annotated, and none of them can be used, so there is nothing to measure:{listed(lost)}"
    return Problem("nothing to measure", dataset.name, detail)


def load_listed(data: DataConfig, splits: tuple[str, ...], base: Path | None = None) -> AnnotatedImages:
    """The images of several splits, joined."""
    root = find_root(data, base)
    return concatenate([DATASETS[data.format](root, name, data) for name in splits])


def find_root(data: DataConfig, base: Path | None = None) -> Path:
    """The folder of the set (for yolo, or its data.yaml); where it is looked for is find_set's to say."""
    if data.format == "shapes":
        return find_made_set(data.root, "shapes", base)
    # Where a set of one's own is not found, COCO is no mend.
    coco = GET_COCO if any(how_to_get(name) for name in (*data.train, *data.val, *data.test)) else None
    mend = {"coco": coco, "voc": GET_VOC, "imagenet_det": GET_DET}.get(data.format)
    return find_set(data.root or data.format, data.format, base, mend=mend)


def find_set(given: str, kind: str, base: Path | None = None, *, mend: str | None = None) -> Path:
    """The folder `given` of a set of this kind.

    A relative one is looked for in `base`, in the current folder and in datasets_root(), there without a leading
    datasets/. DataError that says what was looked for and how to get the data, which is `mend`.
    """
    candidates = places_of_set(given, base)
    for candidate in candidates:
        if os.path.exists(candidate):
            return candidate
    raise DataError(
        f"data.root: the {kind} set was looked for at {', '.join(map(str, candidates))} and is not there. Set "
        "data.root=FOLDER, or DETRES_DATASETS to the folder that holds your sets; "
        + (mend or f"there, {_LAYOUTS[kind]}")
    )


def find_made_set(given: str | None, usual: str, base: Path | None = None) -> Path:
    """The folder of a set that detres makes itself, which need not be there yet; `usual` below datasets_root()."""
    if given is None:
        return datasets_root() / usual
    candidates = places_of_set(given, base)
    return next((candidate for candidate in candidates if os.path.exists(candidate)), candidates[0])


def places_of_set(given: str | Path, base: Path | None = None) -> list[Path]:
    """Where a set's folder is looked for, as find_set says, first to last."""
    folder, below = local_place(given, f"data.root={given}"), datasets_root()
    inside = Path(*folder.parts[1:]) if folder.parts[:1] == ("datasets",) else folder
    # Joining an absolute path to a folder leaves it as it is.
    candidates = [*([base / folder] if base else []), Path.cwd() / folder, below / inside]
    return list(dict.fromkeys(candidates))


def datasets_root() -> Path:
    """The folder that holds data sets: DETRES_DATASETS, else datasets/ here, else the clone's, else datasets/ here.

    A folder `datasets` beside an installed detres is another project's package of that name, not a clone's.
    """
    named = os.environ.get("DETRES_DATASETS")
    if named:
        return Path(named).expanduser()
    here, clone = Path.cwd() / "datasets", Path(__file__).parents[2]
    in_clone = (clone / "pyproject.toml").is_file() and (clone / "datasets").is_dir()
    return clone / "datasets" if in_clone and not here.is_dir() else here


def _set_apart(dataset: AnnotatedImages, fraction: float, *, chosen: bool) -> AnnotatedImages:
    if len(dataset) < 2:
        raise DataError(f"{dataset.name}: data.val_fraction={fraction} of {len(dataset)} image leaves none to train on")
    order = numpy_generator(0, Purpose.DATA_SET, len(dataset)).permutation(len(dataset))
    count = min(max(round(fraction * len(dataset)), 1), len(dataset) - 1)
    return dataset.subset(np.sort(order[:count] if chosen else order[count:]))


def describe_missing_split(
    data: DataConfig | ClassificationDataConfig | LocalizationDataConfig, split: SplitName
) -> str:
    """What to say where a config does not name the split that is asked for."""
    there = [name for name in ("train", "val", "test") if getattr(data, name)]
    apart = split == "val" and hasattr(data, "val_fraction")
    mend = f"set data.{split}" + (" or data.val_fraction" if apart else "")
    mend += f", or use --split {there[-1]}" if there and split != "train" else ""
    return f"data.{split}: the config names no {split} split (it has {', '.join(there) or 'none'}); {mend}"


def _reading(data: DataConfig) -> dict[str, Any]:
    """How images are read, whatever the format."""
    return {"exif": data.exif, "max_pixels": data.max_pixels}


def _load_coco(root: Path, split: str, data: DataConfig) -> AnnotatedImages:
    return load_coco(root, split, classes=data.classes, **_reading(data), strict=bool(data.strict))


def _load_voc(root: Path, split: str, data: DataConfig) -> AnnotatedImages:
    siblings = (*data.train, *data.val, *data.test)
    return load_voc(
        root, split, classes=data.classes, **_reading(data), strict=bool(data.strict), sibling_splits=siblings
    )


def _load_yolo(root: Path, split: str, data: DataConfig) -> AnnotatedImages:
    return load_yolo(root, split, classes=data.classes, **_reading(data), strict=bool(data.strict))


def _load_imagenet_det(root: Path, split: str, data: DataConfig) -> AnnotatedImages:
    return load_imagenet_det(root, split, classes=data.classes, **_reading(data), strict=data.strict)


def _load_shapes(root: Path, split: str, data: DataConfig) -> AnnotatedImages:
    return load_shapes(root, split, classes=data.classes)


DATASETS: Mapping[str, Callable[[Path, str, DataConfig], AnnotatedImages]] = {
    "coco": _load_coco,
    "voc": _load_voc,
    "yolo": _load_yolo,
    "imagenet_det": _load_imagenet_det,
    "shapes": _load_shapes,
}
