"""The pictures of a set that is written: names that no two share, whatever folders they come from, and the files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from detres.data.detection.annotations import AnnotatedImages
from detres.data.places import SplitName
from detres.errors import DataError
from detres.files.names import unique_names

Splits = Mapping[SplitName, AnnotatedImages]


def picture_names(splits: Splits) -> dict[SplitName, list[str]]:
    """The file name of each picture: its own without folders; of several of one stem, all but the first get -2, -3, ...

    Stems differ over all splits: VOC's and YOLO's annotations go by them, and VOC's lie in one folder.
    """
    names = {split: [images.file_name(i) for i in range(len(images))] for split, images in splits.items()}
    every = [os.path.splitext(os.path.basename(name)) for of_split in names.values() for name in of_split]
    stems = iter(unique_names([stem for stem, _ in every]))
    suffixes = iter([suffix for _, suffix in every])
    return {split: [next(stems) + next(suffixes) for _ in of_split] for split, of_split in names.items()}


def place_pictures(images: AnnotatedImages, names: list[str], folder: Path, *, link: bool) -> None:
    """Each picture under its name in a new folder: a copy, or a link to where it lies. Raises DataError."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        source = os.path.abspath(images.path(i))
        if not os.path.isfile(source):
            raise DataError(f"{source}: the picture is no longer there")
        if link:
            os.symlink(source, folder / name)
        else:
            shutil.copyfile(source, folder / name)
