"""All that is wrong with a data set, what it holds, and a copy of its annotations without the mistakes.

I images, T boxes, K classes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from detres.config.detection_schema import DataConfig
from detres.config.yaml_dialect import write_yaml
from detres.data.detection.anchor_fit import AnchorFit, AnchorShapes, Resize, fit_of_anchors
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_split, nothing_to_learn, nothing_to_measure
from detres.data.detection.near_duplicates import looking_alike
from detres.data.detection.rare_classes import rare_but_measured, rare_in_training
from detres.data.detection.shared_images import shared_images
from detres.data.detection.unusable_splits import UnusableSplit, refuse_useless
from detres.data.formats.coco.reading import coco_ground_truth, write_instances
from detres.data.images.reading import is_whole
from detres.data.places import SplitName
from detres.data.problems import Problem
from detres.errors import DataError
from detres.files.whole import write_whole

# COCO's borders between small, medium and large: areas in pixels of the file.
_MEDIUM, _LARGE = 32.0**2, 96.0**2


@dataclass(frozen=True)
class DataReport:
    """What one split holds. boxes_per_class: without ignored ones; box_sides: shortest, median and longest, pixels.

    fit: how well anchors fit the boxes (None: not asked for, or no box is to be found). remarks: what is no mistake of
    the files, and worth knowing before a training.
    """

    split: str
    name: str
    images: int
    empty_images: int
    boxes: int
    ignored: int
    truncated: int
    boxes_per_class: dict[str, int]
    boxes_by_size: dict[str, int]
    box_sides: tuple[float, float, float]
    most_boxes: int
    image_sizes: tuple[tuple[int, int], tuple[int, int]]
    fit: AnchorFit | None
    remarks: tuple[str, ...]
    problems: tuple[Problem, ...]


# No server has the boxes of a val, as one may have a test's.
_NO_BOX_IN_VAL = "none of its images has a box, so that no figure is defined, and no checkpoint the best; "
_MEND_VAL = "move some with boxes there, or have some set apart: data.val=[] data.val_fraction=0.1"
_MEND_PART = "have more set apart, such as data.val_fraction=0.3, or name those to measure on with data.val"


def check(
    data: DataConfig,
    *,
    base: Path | None = None,
    anchors: AnchorShapes | None = None,
    resized: Callable[[AnnotatedImages], Resize] | None = None,
    decode: bool = True,
    fix: Path | None = None,
) -> list[DataReport | UnusableSplit]:
    """A report of every split the config names, in the order train, val, test.

    anchors: what the boxes are held against, in images of the sizes that resized chooses for the first split that can
    be used, or that the config states: in train at every scale that is drawn, elsewhere at that of tests.
    decode: read every image to its last byte, not its header alone. fix: a folder, where COCO files of what is good and
    a data.yaml that names them are written, ready for --data; images stay where they are.
    A split that cannot be used at all is an UnusableSplit in its place; the rest is reported.
    Raises DataError where that holds of every split, or none is named; data.strict is not heeded.
    """
    lenient = data.model_copy(update={"strict": False})
    reports: list[DataReport | UnusableSplit] = []
    train: AnnotatedImages | None = None
    resize: Resize | None = None
    cleaned = {}
    for split in named_splits(data):
        try:
            dataset = load_split(lenient, split, base=base)
        except DataError as error:
            reports.append(UnusableSplit(split, str(error)))
            continue
        if split == "val" and train is not None and not data.val:
            dataset = set_apart_of(train, dataset)
        train = dataset if split == "train" else train
        unreadable, breaking_off = damaged(dataset) if decode else ([], [])
        fit = None
        if anchors is not None:
            resize = resize or (resized(dataset) if resized else Resize.of(data))
            fit = fit_of_anchors(dataset, anchors, resize if split == "train" else resize.of_tests())
        more = [*dataset.breaking_off(breaking_off), *(_unreadable_problem(dataset, i) for i in unreadable)]
        if split == "train" and (nothing := nothing_to_learn(dataset, data)) is not None:
            more.append(Problem("nothing to learn from", dataset.name, f"{nothing}; training refuses it"))
        if split != "train" and (wanting := nothing_to_measure(dataset)) is not None:
            more.append(wanting)
        elif split == "val" and not len(dataset.boxes):
            mend = _MEND_VAL if data.val else _MEND_PART
            more.append(Problem("nothing to measure", dataset.name, _NO_BOX_IN_VAL + mend))
        if split != "train" and train is not None:
            shared = shared_images(train, dataset, contents=decode)
            more += [*told_once(shared, train, dataset), *unlearned_classes(train, dataset)]
            if decode:
                more += resembling(train, dataset, {problem.file for problem in shared})
        reports.append(describe(dataset, split, fit, more, _remarks(train, dataset)))
        kept = np.setdiff1d(np.arange(len(dataset)), unreadable)
        cleaned[split] = dataset.subset(kept) if unreadable else dataset
    refuse_useless(reports)
    if fix is not None:
        write_cleaned({split: dataset for split, dataset in cleaned.items() if len(dataset)}, fix)
    return reports


def set_apart_of(train: AnnotatedImages, val: AnnotatedImages) -> AnnotatedImages:
    """A val of train's own files, named as a part of them, with those problems alone that are not told with train."""
    told = set(train.problems)
    own = tuple(problem for problem in val.problems if problem not in told)
    return replace(val, name=f"a part of {val.name}", problems=own)


def told_once(shared: Sequence[Problem], learned: AnnotatedImages, measured: AnnotatedImages) -> Sequence[Problem]:
    """Images that are trained on as well: each, or all of them in a line where none is left."""
    if len(shared) < 2 or len(shared) < len(measured):
        return shared
    detail = (
        f"all of its {len(shared)} images are learned from, in {learned.name}, so that no figure of it says anything"
    )
    return [Problem("image repeated", measured.name, detail)]


def resembling(learned: AnnotatedImages, measured: AnnotatedImages, told: Collection[str]) -> list[Problem]:
    """A problem for each image that looks almost as one that is trained on, such as the next shot of a burst.

    told: files that were found to be the same as one, of which nothing more is to be said.
    """
    alike = {measured.file_name(i): learned.file_name(j) for i, j in looking_alike(learned, measured).items()}
    return [
        Problem("looks like a learned one", name, f"it looks almost as {other} of {learned.name}, which is trained on")
        for name, other in alike.items()
        if name not in told
    ]


def unlearned_classes(learned: AnnotatedImages, measured: AnnotatedImages) -> list[Problem]:
    """A problem where a set that is measured on has boxes of classes of which training has none to find."""
    known = {learned.class_names[label] for label in np.unique(learned.labels[~learned.ignore])}
    there = [measured.class_names[label] for label in np.unique(measured.labels[~measured.ignore])]
    unlearned = [name for name in there if name not in known]
    if not unlearned:
        return []
    unlisted = [name for name in unlearned if name not in learned.class_names]
    refusal = "; training refuses it, unless common classes are selected with data.classes=[…]" if unlisted else ""
    detail = f"{learned.name} has no box of {', '.join(unlearned)}, which stands here, and will never be found{refusal}"
    return [Problem("class not learned", measured.name, detail)]


def _remarks(train: AnnotatedImages | None, dataset: AnnotatedImages) -> Sequence[str]:
    if train is None:
        return ()
    return list(rare_in_training(train) if train is dataset else rare_but_measured(train, dataset))


def describe(
    dataset: AnnotatedImages,
    split: str,
    fit: AnchorFit | None = None,
    more: Sequence[Problem] = (),
    remarks: Sequence[str] = (),
) -> DataReport:
    """Count what a set holds."""
    counted = dataset.labels[~dataset.ignore]
    per_class = np.bincount(counted, minlength=len(dataset.class_names)).tolist()
    sides = np.sqrt((dataset.boxes[:, 2] - dataset.boxes[:, 0]) * (dataset.boxes[:, 3] - dataset.boxes[:, 1]))
    areas, per_image = dataset.areas, np.diff(dataset.offsets)
    large, small = int((areas >= _LARGE).sum()), int((areas < _MEDIUM).sum())
    pixels = dataset.sizes.prod(axis=1)
    least, usual, most = map(float, np.percentile(sides, (0, 50, 100))) if len(sides) else (0.0, 0.0, 0.0)
    return DataReport(
        split=split,
        name=dataset.name,
        images=len(dataset),
        empty_images=int((per_image == 0).sum()),
        boxes=len(dataset.boxes),
        ignored=int(dataset.ignore.sum()),
        truncated=int(dataset.truncated.sum()),
        boxes_per_class=dict(zip(dataset.class_names, per_class, strict=True)),
        boxes_by_size={"small": small, "medium": len(areas) - small - large, "large": large},
        box_sides=(least, usual, most),
        most_boxes=int(per_image.max(initial=0)),
        image_sizes=(dataset.size(int(pixels.argmin())), dataset.size(int(pixels.argmax()))),
        fit=fit,
        remarks=tuple(remarks),
        problems=(*dataset.problems, *more),
    )


def damaged(dataset: AnnotatedImages) -> tuple[list[int], list[int]]:
    """Indices of the images that have a header but cannot be decoded; of those that break off, and are filled up."""
    with ThreadPoolExecutor() as pool:  # decoding happens outside Python's lock
        whole = pool.map(lambda i: is_whole(dataset.path(i), max_pixels=dataset.max_pixels), range(len(dataset)))
        damaged = [i for i, complete in enumerate(whole) if not complete]
    unreadable = [i for i in damaged if not _can_be_read(dataset, i)]
    return unreadable, sorted(set(damaged) - set(unreadable))


def _can_be_read(dataset: AnnotatedImages, i: int) -> bool:
    try:
        dataset.pixels(i)
    except DataError:
        return False
    return True


def _unreadable_problem(dataset: AnnotatedImages, i: int) -> Problem:
    detail = "its header is sound, but it is damaged; left out"
    return Problem("image unreadable", dataset.file_name(i), detail, costs_image=True)


def write_cleaned(splits: dict[SplitName, AnnotatedImages], folder: Path) -> None:
    """COCO files with the clipped boxes, one a split, and a data.yaml for --data, which names the images' folder as it
    is seen from its own, so that both can be moved together.

    Raises DataError where the folder holds a data.yaml already, UserError where it cannot be written.
    """
    description = folder / "data.yaml"
    if description.exists():
        raise DataError(f"--fix {folder}: {description} is there already; name another folder")
    if not splits:
        raise DataError(f"--fix {folder}: no image of any split can be decoded, so that there is nothing to write")
    named = {}
    for split, dataset in splits.items():
        content = coco_ground_truth(dataset)
        for annotation, box in zip(content["annotations"], dataset.boxes.tolist(), strict=True):
            x1, y1, x2, y2 = box
            annotation["bbox"] = [x1, y1, x2 - x1, y2 - y1]
        paths = [os.path.abspath(dataset.path(i)) for i in range(len(dataset))]
        # Nothing outside a set's folders is read: this one is the folder of the images, which the yaml names.
        images_folder = os.path.commonpath([os.path.dirname(path) for path in paths])
        for image, path in zip(content["images"], paths, strict=True):
            image["file_name"] = os.path.relpath(path, images_folder)
        write_instances(content, folder / f"{split}.json")
        named[split] = f"{split}.json:{_seen_from(folder, images_folder)}"
    classes = list(next(iter(splits.values())).class_names)
    write_whole(description, write_yaml({"format": "coco", "root": ".", **named, "classes": classes}))


def _seen_from(folder: Path, place: str) -> str:
    """The way from one folder to another; the place itself where links on the way make `..` lead elsewhere."""
    way = os.path.relpath(place, os.path.abspath(folder))
    return way if os.path.samefile(folder / way, place) else place


def named_splits(data: DataConfig) -> list[SplitName]:
    """The splits that a config has, in the order train, val, test; one that is set apart is one of them."""
    splits: list[SplitName] = ["train"] if data.train else []
    if data.val or (data.train and data.val_fraction):
        splits.append("val")
    return [*splits, "test"] if data.test else splits
