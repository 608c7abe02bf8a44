"""CIFAR-10: 50,000 training and 10,000 test images of 32×32 pixels in ten classes.

As published, in Python's batches (cifar-10-batches-py/data_batch_1 to 5, test_batch: pickles) or binary ones
(cifar-10-batches-bin/data_batch_1.bin …: a byte for the label, then 1024 bytes each of red, green and blue), or as an
image folder (train/CLASS/*, test/CLASS/*).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detres.data.archives import refuse_half_unpacked
from detres.data.classes import CIFAR10_CLASSES, select_classes
from detres.data.classification.classified import ClassifiedImages, classified, with_classes
from detres.data.formats.class_folders import read_class_folders
from detres.data.formats.format import Format
from detres.errors import DataError
from detres.pickles.array_pickle import read_array_pickle

GET_CIFAR10 = "run `detres prepare cifar10 --download` (170 MB), or give it the archive with --from"

_BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
_SIDE = 32


def load_cifar10(
    root: Path, split: str, *, classes: Sequence[str] | None = None, exif: bool = True
) -> ClassifiedImages:
    """The training or the test images; classes: select and order them.

    Raises DataError where the split is another, nothing of the set is there, or a batch is missing or damaged.
    """
    if split not in _BATCHES:
        raise DataError(
            f"split {split}: CIFAR-10 has train and test; for a val, set data.val=[] and data.val_fraction=0.1 (the "
            "paper's 45,000 and 5,000), or data.val=test"
        )
    refuse_half_unpacked(root)
    names = select_classes(classes, CIFAR10_CLASSES, str(root))
    for folder in (root, root / "cifar-10-batches-py", root / "cifar-10-batches-bin"):
        for ending in ("", ".bin"):
            files = [folder / f"{name}{ending}" for name in _BATCHES[split]]
            if any(file.is_file() for file in files):
                return with_classes(_read_batches(files, root, split), names)
    if (root / split).is_dir():
        return read_class_folders(
            root, split, names, name=f"cifar10/{split}", class_names=names, chosen=bool(classes), exif=exif
        )
    raise DataError(
        f"{root}: neither {_BATCHES[split][0]} nor cifar-10-batches-py/, cifar-10-batches-bin/ or {split}/CLASS/ is "
        f"there; {GET_CIFAR10}"
    )


def _read_batches(files: Sequence[Path], root: Path, split: str) -> ClassifiedImages:
    absent = [file.name for file in files if not file.is_file()]
    if absent:
        raise DataError(f"{files[0].parent}: {', '.join(absent)} is missing; is it half unpacked? {GET_CIFAR10}")
    batches = [_read_binary(file) if file.suffix else _read_pickled(file) for file in files]
    for file, (_, labels) in zip(files, batches, strict=True):
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(CIFAR10_CLASSES):
            raise DataError(f"{file}: its labels run from {labels.min()} to {labels.max()}, expected 0 to 9")
    names = [f"{file.stem}/{i}" for file, (_, labels) in zip(files, batches, strict=True) for i in range(len(labels))]
    return classified(
        f"cifar10/{split}",
        root,
        CIFAR10_CLASSES,
        np.concatenate([labels for _, labels in batches]),
        names,
        pixels=np.concatenate([pixels for pixels, _ in batches]),
    )


def _read_pickled(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        content = read_array_pickle(file)
    except ValueError as error:
        raise DataError(f"{file}: {error}; {GET_CIFAR10}") from None
    rows, labels = (content.get(key) if isinstance(content, dict) else None for key in ("data", "labels"))
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or not isinstance(labels, list):
        raise DataError(f"{file}: no batch of CIFAR-10, which has `data` and `labels`; {GET_CIFAR10}")
    if rows.shape != (len(labels), 3 * _SIDE**2):
        raise DataError(
            f"{file}: {len(labels)} labels and data of shape {rows.shape}, expected {len(labels)} rows of 3072"
        )
    return _as_images(rows), np.array(labels, dtype=np.int64)


def _read_binary(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    content = np.fromfile(file, dtype=np.uint8)
    if not len(content) or len(content) % (1 + 3 * _SIDE**2):
        raise DataError(f"{file}: {len(content)} bytes are no whole number of images of 3073; {GET_CIFAR10}")
    rows = content.reshape(-1, 1 + 3 * _SIDE**2)
    return _as_images(rows[:, 1:]), rows[:, 0].astype(np.int64)


def _as_images(rows: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(I, 3072) planes -> (I, 32, 32, 3)."""
    return np.ascontiguousarray(rows.reshape(-1, 3, _SIDE, _SIDE).transpose(0, 2, 3, 1))


CIFAR10 = Format(load_cifar10, lambda splits: GET_CIFAR10, lambda: CIFAR10_CLASSES)
