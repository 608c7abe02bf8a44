"""ImageNet as its publishers and its users lay it out.

Training images lie in folders named by synset (train/n01440764/*.JPEG), validation images too, or flat as they come:
val/ILSVRC2012_val_00000001.JPEG, whose labels stand in the devkit's ILSVRC2012_validation_ground_truth.txt (a number a
line, in the devkit's own order of classes) or in Kaggle's LOC_val_solution.csv (file stem, then the synset and boxes).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from detres.data.archives import refuse_half_unpacked
from detres.data.classes import select_classes
from detres.data.classification.classified import UNKNOWN, ClassifiedImages, classified
from detres.data.formats.class_folders import known_folders, list_folders, read_class_folders
from detres.data.formats.format import Format
from detres.data.formats.imagenet_classes import imagenet_synsets
from detres.data.images.files import IMAGE_SUFFIXES, names_in
from detres.data.problems import Problem
from detres.errors import DataError
from detres.files.text import read_text

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
GET_IMAGENET = "download ImageNet's archives from image-net.org and unpack them with `detres prepare imagenet`"

# Of a flat split's images, more missing than this share are no accident.
_MOST_MISSING = 0.01


def load_imagenet(
    root: Path,
    split: str,
    *,
    train: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    exif: bool = True,
    unlabelled: bool = False,
) -> ClassifiedImages:
    """The images of one split; `split` is its path below root.

    train: the splits to train on, whose folders say which of the 1000 classes there are. classes: select and order
    them, by name or synset. unlabelled: a flat split may be one whose labels were never published.
    Raises DataError where the split or its labels are missing, half unpacked or contradict each other.
    """
    place = root / split
    refuse_half_unpacked(root)
    if not place.is_dir():
        raise DataError(f"{place}: there is no such folder; check data.root={root} and the split's name")
    flat = not list_folders(place)
    wnids = _known_wnids(root, train, None if flat else split, chosen=bool(classes))
    name_of = {synset.wnid: synset.name for synset in imagenet_synsets()}
    wnid_of = {name_of[wnid]: wnid for wnid in wnids} | {wnid: wnid for wnid in wnids}
    if classes is not None:
        wnids = [wnid_of[name] for name in select_classes(classes, list(wnid_of), str(place))]
    names = [name_of[wnid] for wnid in wnids]
    if flat:
        return _read_flat(root, split, wnids, names, chosen=bool(classes), exif=exif, unlabelled=unlabelled)
    return read_class_folders(
        root, split, wnids, name=f"imagenet/{split}", class_names=names, chosen=bool(classes), exif=exif
    )


def _known_wnids(root: Path, train: Sequence[str], split: str | None, *, chosen: bool) -> list[str]:
    """The synsets of the training folders, else of this split's, else all 1000."""
    every = [synset.wnid for synset in imagenet_synsets()]
    found = known_folders(root, train, chosen=chosen) or (known_folders(root, [split]) if split else every)
    strange = sorted(set(found) - set(every))
    if strange:
        raise DataError(
            f"{root}: {', '.join(strange[:10])} are no synsets of ImageNet's 1000 classes; data.format=folder takes "
            "class folders of any name"
        )
    return found


def _read_flat(
    root: Path, split: str, wnids: list[str], names: list[str], *, chosen: bool, exif: bool, unlabelled: bool
) -> ClassifiedImages:
    place = root / split
    files = [name for name in names_in(place) if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]
    if not files:
        raise DataError(f"{place}: there is no image; {GET_IMAGENET}")
    source = _label_file(root, place)
    problems: list[Problem] = []
    if source is None:
        if not unlabelled:
            raise DataError(
                f"{place}: its images lie in no synset folders, and neither {GROUND_TRUTH} (of the devkit) nor "
                f"LOC_{place.name}_solution.csv (Kaggle's) is in {place}, {root} or a devkit's data/; put it there"
            )
        labels = [UNKNOWN] * len(files)
    else:
        stated = _labels_of(source)
        _refuse_missing(place, files, stated, source, problems)
        files, labels = _labelled(files, stated, wnids, place, chosen=chosen)
    prefix = "" if split == "." else f"{split.rstrip('/')}/"
    return classified(
        f"imagenet/{split}",
        root,
        names,
        np.array(labels),
        [prefix + file for file in files],
        exif=exif,
        problems=tuple(problems),
    )


def _label_file(root: Path, place: Path) -> Path | None:
    """Where a flat split's labels stand: beside its images, above them, or in a devkit that was unpacked there."""
    above = [folder for folder in (place, *place.parents) if folder == root or root in folder.parents]
    devkits = [data for folder in above for data in sorted(folder.glob("*devkit*/data")) + sorted(folder.glob("data"))]
    names: tuple[str, ...] = (f"LOC_{place.name}_solution.csv", GROUND_TRUTH)
    if not place.name.startswith("val"):
        names = names[:1]  # the devkit has labels of the validation images alone
    candidates = [folder / name for folder in (*above, *devkits) for name in names]
    return next((file for file in candidates if file.is_file()), None)


def _labels_of(source: Path) -> dict[str, str]:
    """The synset of each image, by its file's stem."""
    lines = read_text(source).rstrip("\n").split("\n")
    return dict(_csv_rows(source, lines) if source.suffix == ".csv" else _ground_truth_rows(source, lines))


def _csv_rows(source: Path, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(lines[1:], start=2):
        stem, _, prediction = line.partition(",")
        match = re.match(r"n\d{8}", prediction)
        if match is None:
            raise DataError(f"{source}: line {number}: got {line[:60]!r}, expected ImageId,SYNSET BOX…")
        yield stem, match[0]


def _ground_truth_rows(source: Path, lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    wnid_of = {synset.devkit_id: synset.wnid for synset in imagenet_synsets()}
    for number, line in enumerate(lines, start=1):
        if not line.strip().isdecimal() or int(line) not in wnid_of:
            raise DataError(f"{source}: line {number}: got {line[:60]!r}, expected a class from 1 to 1000")
        yield f"ILSVRC2012_val_{number:08d}", wnid_of[int(line)]


def _refuse_missing(
    place: Path, files: Sequence[str], stated: dict[str, str], source: Path, problems: list[Problem]
) -> None:
    """List the few images that have no label or no file; DataError where they are many."""
    stems = {file.rpartition(".")[0]: file for file in files}
    absent = sorted(set(stated) - set(stems))
    nameless = sorted(set(stems) - set(stated))
    if len(absent) + len(nameless) > _MOST_MISSING * len(stated):
        raise DataError(
            f"{place}: {len(files)} images, but {source} labels {len(stated)}, {len(absent)} of which are not there "
            f"({', '.join((absent or nameless)[:3])} …). Is the archive half unpacked? Unpack it anew"
        )
    unlabelled, unseen = f"not in {source.name}; left out", f"labelled in {source.name}; left out"
    problems += [Problem("image missing", stem, unseen, costs_image=True) for stem in absent]
    problems += [Problem("image without class", stems[stem], unlabelled, costs_image=True) for stem in nameless]


def _labelled(
    files: Sequence[str], stated: dict[str, str], wnids: Sequence[str], place: Path, *, chosen: bool
) -> tuple[list[str], list[int]]:
    """The files that have a label among the classes, and it."""
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    wanted = [(file, stated[stem]) for file in files if (stem := file.rpartition(".")[0]) in stated]
    strange = sorted({wnid for _, wnid in wanted} - set(wnids))
    if strange and not chosen:
        raise DataError(
            f"{place}: {len(strange)} classes of its images have no folder among the training images: "
            f"{', '.join(strange[:10])}; name the classes that are meant with data.classes"
        )
    kept = [(file, label_of[wnid]) for file, wnid in wanted if wnid in label_of]
    if not kept:
        raise DataError(f"{place}: no image is of any of the {len(wnids)} classes; check data.classes")
    return [file for file, _ in kept], [label for _, label in kept]


IMAGENET = Format(
    load_imagenet, lambda splits: GET_IMAGENET, lambda: tuple(synset.name for synset in imagenet_synsets())
)
# Of localization, images are not turned as EXIF says: the boxes were drawn on the pixels as they are stored.
IMAGENET_LOC = replace(IMAGENET, load=partial(load_imagenet, exif=False))
