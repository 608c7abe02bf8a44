"""How every set of images is loaded: torch's loader with workers of our own, and what each of them is told."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, repeat
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset

from detres.data.loading.batch_memory import mapped_memory
from detres.data.loading.pinned_batches import PinnedBatches
from detres.data.loading.usual_workers import usual_workers
from detres.data.loading.worker_pool import Maker, WorkerPool, worker_lane

# What an image that cannot be decoded is replaced by: near the mean of photographs, and free of edges.
GREY = 114


# glibc's names for two of its settings, and how much memory may be kept.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _KEPT_BYTES = -1, -3, 1 << 30


def empty_images(count: int, height: int, width: int) -> torch.Tensor:
    """Memory for a batch; in a worker it is shared from the start, which saves copying it there to send it."""
    shape = (count, height, width, 3)
    return torch.empty(shape, dtype=torch.uint8) if worker_lane() is None else mapped_memory(shape)


def stacked_images(images: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    """N images of one size as (N, H, W, 3), in memory that a worker can send."""
    batch = empty_images(len(images), *images[0].shape[:2])
    for row, image in zip(batch.numpy(), images, strict=True):
        row[:] = image
    return batch


class ImageLoader(DataLoader):
    """torch's loader, as every set of images uses it, with workers of our own; `more` are its other arguments.

    workers: processes; None: as many as is usual.
    """

    def __init__(self, dataset: Dataset, *, workers: int | None, pin_memory: bool = False, **more: Any) -> None:
        super().__init__(
            dataset,
            num_workers=usual_workers() if workers is None else workers,
            pin_memory=pin_memory,
            # DataLoader draws a seed at its beginning: from here, not from the global generator of the process.
            generator=torch.Generator().manual_seed(0),
            **more,
        )

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names an iterator of its own, a private one
        """Workers begin now, not with the first batch that is asked for, and end with the iterator."""
        if not self.num_workers:
            return super().__iter__()
        if isinstance(self.dataset, IterableDataset):
            pool = WorkerPool(_StreamMaker(self.dataset), repeat(None), self.num_workers)
        else:
            assert self.batch_sampler is not None, "batches are drawn by one"
            pool = WorkerPool(_BatchMaker(self.dataset, self.collate_fn), self.batch_sampler, self.num_workers)
        return PinnedBatches(pool) if self.pin_memory else pool


class _BatchMaker(Maker):
    """Batches of a set whose images are asked for by their places."""

    def __init__(self, dataset: Dataset, collate_fn: Callable[[list[Any]], Any]) -> None:
        self.dataset, self.collate_fn = dataset, collate_fn

    def begin(self, done: int) -> Callable[[Any], Any]:
        settle_worker()
        return lambda places: self.collate_fn([self.dataset[place] for place in places])


class _StreamMaker(Maker):
    """Batches of a set that is read in its own order: the next one for every task."""

    def __init__(self, dataset: IterableDataset) -> None:
        self.dataset = dataset

    def begin(self, done: int) -> Callable[[Any], Any]:
        settle_worker()
        batches = islice(iter(self.dataset), done, None)
        return lambda _: next(batches)


def settle_worker() -> None:
    """Make a process that only loads images do so at its best; called in every worker.

    One thread, because workers share the processors. And memory that was freed is kept for the next image: else the
    system takes back the pages of every image and clears them anew for the next, at a third of the cost of loading.
    """
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    tune = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if tune is not None:  # the C library is glibc
        tune(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        tune(_M_TRIM_THRESHOLD, _KEPT_BYTES)
