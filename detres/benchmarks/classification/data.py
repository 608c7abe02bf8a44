"""Images a second on one core: from JPEG files to the batches a classifier is trained on.

The peer is torchvision's reference: Pillow decodes, crops and resizes; then a flip, a tensor, float32 and normalization
in the worker. Ours ends with uint8 crops: the device normalizes them. Each side runs in a worker process of its own.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import default_collate
from torchvision import transforms as T
from torchvision.transforms import functional as F

from detres.benchmarks.rows import Check, Row
from detres.benchmarks.scenes import smooth_picture
from detres.benchmarks.timing import Plan
from detres.benchmarks.worker_time import Worker, alternate_workers
from detres.data.classification.classified import ClassifiedImages, classified
from detres.data.classification.crops import AreaCropping, Box, Cropping, ScaleCropping, least_size
from detres.data.classification.loaders import ClassificationDataset, collate
from detres.data.classification.transforms import ClassificationTransform
from detres.data.images.jpeg_scaling import largest_denominator
from detres.data.loading.samplers import Place
from detres.structures import IMAGENET_STATS, ClassificationBatch

_QUALITY = 90
# Grey levels RMS between our crop and the reference's of the same box.
_SAME_CROP = 2.0


@dataclass(frozen=True)
class CropWork:
    """Files, and how they are cropped. noise: white noise on the pictures, which sets the bytes of a file.

    target: the ratio to be reached. batch: images of one batch.
    """

    name: str
    cropping: Cropping
    height: int
    width: int
    noise: float
    target: float
    count: int = 32
    batch: int = 16

    @property
    def work(self) -> str:
        side = self.cropping.side
        return f"JPEGs of {self.height}×{self.width} to batches of {self.batch} crops of {side}×{side}, one core"


# Photographs of ImageNet's size, with its bytes a pixel, and of a camera's, with fewer.
WORKS = (
    CropWork("area", AreaCropping(224), 375, 500, noise=0.25, target=1.8),
    CropWork("scale", ScaleCropping(224, (256, 480)), 375, 500, noise=0.25, target=2.7),
    CropWork("area_large", AreaCropping(224), 1200, 1600, noise=0.05, target=4.0),
    CropWork("scale_large", ScaleCropping(224, (256, 480)), 1200, 1600, noise=0.05, target=4.0),
)


def measure_crops(work: CropWork, our_worker: Worker, their_worker: Worker, plan: Plan) -> Row:
    """The row data/classification_NAME."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bytes_each = write_pictures(folder, work)
        ours, theirs = (partial(batches, folder, work) for batches in (our_batches, their_batches))
        our_seconds, their_seconds = alternate_workers([(our_worker, ours), (their_worker, theirs)], plan)
        check = same_crops(folder, work)
    return Row(
        name=f"data/classification_{work.name}",
        ours=work.count / median(our_seconds),
        peer=work.count / median(their_seconds),
        unit="images/s",
        peer_name="torchvision's reference transforms",
        work=f"{work.work}, {bytes_each / 1000:.0f} kB a file",
        target=work.target,
        rounds=plan.rounds,
        check=check,
    )


def write_pictures(folder: Path, work: CropWork) -> float:
    """JPEG files; their mean number of bytes."""
    for place in range(work.count):
        picture = smooth_picture(work.height, work.width, place, noise=work.noise)
        Image.fromarray(picture).save(folder / f"{place}.jpg", quality=_QUALITY)
    return float(np.mean([file.stat().st_size for file in folder.glob("*.jpg")]))


def our_batches(folder: Path, work: CropWork) -> Iterator[ClassificationBatch]:
    """As a worker of classification_training_loader makes them."""
    dataset = ClassificationDataset(_images(folder, work), ClassificationTransform(work.cropping))
    return (collate([dataset[Place(i, 0, i)] for i in places]) for places in _batches(work))


def their_batches(folder: Path, work: CropWork) -> Iterator[list[Tensor]]:
    """As a worker of torchvision's reference makes them: float32 (N, 3, side, side) and labels."""
    crop = _their_crop(work.cropping)
    stats = [[value / 255 for value in values] for values in (IMAGENET_STATS.mean, IMAGENET_STATS.std)]
    transform = T.Compose(
        [crop, T.RandomHorizontalFlip(), T.PILToTensor(), T.ConvertImageDtype(torch.float32), T.Normalize(*stats)]
    )
    torch.manual_seed(0)
    read = partial(_read, folder)
    return (default_collate([(transform(read(i)), 0) for i in places]) for places in _batches(work))


def _their_crop(cropping: Cropping) -> Callable[[Image.Image], Image.Image]:
    if isinstance(cropping, AreaCropping):
        return T.RandomResizedCrop(cropping.side, scale=cropping.area, ratio=cropping.ratio)
    if not isinstance(cropping, ScaleCropping):
        raise TypeError(f"{cropping} has no peer")
    shortest, cut, draws = cropping.shortest_side, T.RandomCrop(cropping.side), random.Random(0)
    return lambda picture: cut(F.resize(picture, draws.randint(*shortest)))


def same_crops(folder: Path, work: CropWork) -> Check:
    """Our crop of each file, not mirrored, against Pillow's of the same box of the whole image."""
    images, transform = _images(folder, work), ClassificationTransform(work.cropping, flip=0.0)
    apart = []
    for place in range(work.count):
        box = drawn_box(work, place)
        ours = transform.from_bytes(images.encoded(place), images.image_id(place), place)
        corners = (box.left, box.top, box.left + box.width, box.top + box.height)
        theirs = _read(folder, place).resize((work.cropping.side,) * 2, Image.Resampling.BILINEAR, box=corners)
        apart.append(float(np.sqrt(np.mean((ours.astype(np.float64) - np.asarray(theirs)) ** 2))))
    what = f"{work.count} crops within {max(apart):.1f} grey levels RMS of Pillow's, {np.mean(apart):.1f} in the mean"
    return Check(max(apart) <= _SAME_CROP, what)


def drawn_box(work: CropWork, draw_key: int) -> Box:
    """The box of an image that ClassificationTransform cuts: it begins at a whole pixel of the decoded image."""
    size = (work.height, work.width)
    box = work.cropping.draw(size, random.Random(draw_key))
    denominator = largest_denominator(size, least_size(size, box, work.cropping.side))
    return box._replace(top=box.top // denominator * denominator, left=box.left // denominator * denominator)


def _batches(work: CropWork) -> Iterator[range]:
    return (range(first, min(first + work.batch, work.count)) for first in range(0, work.count, work.batch))


def _images(folder: Path, work: CropWork) -> ClassifiedImages:
    names = [f"{place}.jpg" for place in range(work.count)]
    return classified("pictures", folder, ("thing",), np.zeros(work.count, np.int64), names)


def _read(folder: Path, place: int) -> Image.Image:
    return Image.open(folder / f"{place}.jpg").convert("RGB")
