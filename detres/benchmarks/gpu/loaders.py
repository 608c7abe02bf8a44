"""Images a second that reach the device from JPEG files, through the loaders of training, by their workers."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detres.benchmarks.classification.data import CropWork, write_pictures
from detres.benchmarks.data import Photos, write_photos
from detres.benchmarks.gpu.entries import Entry
from detres.benchmarks.gpu.measuring import Bench, Figures
from detres.benchmarks.gpu.sizes import Loading
from detres.benchmarks.timing import synchronize
from detres.data.classification.classified import classified
from detres.data.classification.crops import AreaCropping
from detres.data.classification.loaders import ClassificationDataset, classification_training_loader
from detres.data.classification.transforms import ClassificationTransform
from detres.data.detection.loaders import DetectionDataset, training_loader
from detres.data.detection.transforms import DetectionTransform
from detres.data.formats.coco.reading import load_coco
from detres.data.loading.samplers import Share

_FLIP = ({"HorizontalFlip": {"p": 0.5}},)
_LONGEST = 1333
# So many batches of a worker may be ready when the first is asked for; they say nothing of its rate.
_AHEAD = 3

Opened = Callable[[Path, Loading, int, bool], Any]


def loader_entries(bench: Bench, loading: Loading) -> list[Entry]:
    """Rows of load/…: decode, transform, copy. The batch is of images loaded at once, and never halved."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return [
        Entry(f"load/{kind}/workers{workers}", partial(_measure, bench, loading, opened, workers))
        for kind, opened in (("detection", detection_batches), ("classification", classification_batches))
        for workers in loading.workers
        if workers <= cores
    ]


def _measure(bench: Bench, loading: Loading, opened: Opened, workers: int, _: int) -> Figures:
    with tempfile.TemporaryDirectory() as name:
        loader = opened(Path(name), loading, workers, bench.device.type == "cuda")
        with _batches(loader) as batches:
            return images_a_second(batches, bench.device, loading.seconds, ahead=_AHEAD * workers)


@contextmanager
def _batches(loader: Any) -> Iterator[Iterator[Any]]:
    batches = iter(loader)
    try:
        yield batches
    finally:
        # Workers end now, and not when the files below them are gone.
        if close := getattr(batches, "close", None):
            close()


def images_a_second(batches: Iterator[Any], device: torch.device, seconds: float, ahead: int) -> Figures:
    """ahead: batches that are taken before. One that is there is copied while the next is waited for."""
    for _ in range(1 + ahead):
        next(batches).to(device, non_blocking=True)
    synchronize(device)
    begun, images, taken = time.perf_counter(), 0, 0
    while not taken or time.perf_counter() - begun < seconds:
        images += len(next(batches).to(device, non_blocking=True))
        taken += 1
    synchronize(device)
    spent = time.perf_counter() - begun
    return {"images_per_s": images / spent, "ms": 1e3 * spent / taken, "calls": taken}


def detection_batches(folder: Path, loading: Loading, workers: int, pin_memory: bool) -> Any:
    """train_det's loader over COCO's layout, mirrored half of the time."""
    write_photos(folder, Photos(count=loading.photos))
    transform = DetectionTransform(_FLIP, shortest_side=(loading.photo_side,), longest_side=_LONGEST, training=True)
    dataset = DetectionDataset(load_coco(folder, "instances.json"), transform)
    return training_loader(dataset, Share(batch=loading.batch), pad_to=32, workers=workers, pin_memory=pin_memory)


def classification_batches(folder: Path, loading: Loading, workers: int, pin_memory: bool) -> Any:
    """train_cls's loader over files of ImageNet's size; each stands for many images of the set."""
    cropping = AreaCropping(loading.crop_side)
    write_pictures(folder, CropWork("area", cropping, 375, 500, noise=0.25, target=1.0, count=loading.crops))
    times = -(-loading.crop_batch // loading.crops)
    names = [f"{place}.jpg" for place in range(loading.crops)] * times
    images = classified("pictures", folder, ("thing",), np.zeros(len(names), np.int64), names)
    dataset = ClassificationDataset(images, ClassificationTransform(cropping, flip=0.5))
    return classification_training_loader(
        dataset, Share(batch=loading.crop_batch), workers=workers, pin_memory=pin_memory
    )
