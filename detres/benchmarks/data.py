"""Images a second on one core: from JPEG files to an augmented batch of a detector's size.

Each side runs in a worker process of its own, set up as its loader sets up a worker, and its processor time counts.
torchvision's reference makes a mask of every object's polygon, flips it and resizes it, whatever the detector: so it is
timed as it comes, and once more without, for those who take that out.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco_mask
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.transforms.v2 import functional as F

from detres.benchmarks.rows import Check, Row
from detres.benchmarks.scenes import smooth_picture
from detres.benchmarks.timing import Plan
from detres.benchmarks.worker_time import Worker, alternate_workers
from detres.data.detection.loaders import DetectionDataset, collate
from detres.data.detection.transforms import DetectionTransform
from detres.data.formats.coco.reading import load_coco
from detres.data.loading.samplers import Place
from detres.structures import IMAGENET_STATS, DetectionBatch

TARGET = 8.0
_FLIP = ({"HorizontalFlip": {"p": 0.5}},)
_QUALITY = 90
# White noise on the patches; with it a file has the bytes a pixel of COCO's, and so the decoder its work.
_NOISE = 0.25
# The mean of COCO's polygons.
_CORNERS = 24
# A mean colour in 0..1 moves by less in another interpolation; boxes, in pixels, by rounding alone.
_SAME_COLOUR, _SAME_BOX = 0.01, 0.01


@dataclass(frozen=True)
class Photos:
    """The files that are read. objects: boxes on each. batch: images of one batch."""

    count: int = 32
    height: int = 480
    width: int = 640
    shortest_side: int = 800
    longest_side: int = 1333
    objects: int = 7
    batch: int = 4

    @property
    def work(self) -> str:
        return (
            f"JPEGs of {self.height}×{self.width} to batches of {self.batch} at {self.shortest_side} pixels, one core"
        )


def measure_detection_data(photos: Photos, our_worker: Worker, their_worker: Worker, plan: Plan) -> list[Row]:
    """The rows data/detection and data/detection/boxes_only."""
    theirs = {"": partial(their_batches, masks=True), "/boxes_only": partial(their_batches, masks=False)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bytes_each = write_photos(folder, photos)
        sides: list[tuple[Worker, Callable[[Path, Photos], Iterator[Any]]]]
        sides = [(our_worker, our_batches), *((their_worker, batches) for batches in theirs.values())]
        seconds = alternate_workers([(process, partial(batches, folder, photos)) for process, batches in sides], plan)
        checks = [same_batches(our_batches(folder, photos), batches(folder, photos)) for batches in theirs.values()]
    ours, *peers = (photos.count / median(times) for times in seconds)
    return [
        Row(
            name=f"data/detection{suffix}",
            ours=ours,
            peer=peer,
            unit="images/s",
            peer_name="torchvision's reference transforms and in-model resize" + (", without masks" if suffix else ""),
            work=f"{photos.work}, {bytes_each / 1000:.0f} kB a file",
            target=None if suffix else TARGET,
            rounds=plan.rounds,
            check=check,
        )
        for suffix, peer, check in zip(theirs, peers, checks, strict=True)
    ]


def write_photos(folder: Path, photos: Photos) -> float:
    """JPEG files and instances.json, in COCO's layout; the files' mean number of bytes."""
    draws = np.random.default_rng(0)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for place in range(photos.count):
        file = folder / f"{place:06d}.jpg"
        picture = smooth_picture(photos.height, photos.width, place, noise=_NOISE)
        Image.fromarray(picture).save(file, quality=_QUALITY)
        images.append({"id": place + 1, "file_name": file.name, "height": photos.height, "width": photos.width})
        sides = np.array([photos.width, photos.height])
        for size, corner in zip(
            draws.uniform(0.1, 0.5, (photos.objects, 2)), draws.random((photos.objects, 2)), strict=True
        ):
            box = np.concatenate([corner * (1 - size) * sides, size * sides])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": place + 1,
                    "category_id": 1,
                    "bbox": box.tolist(),
                    "area": float(box[2] * box[3]),
                    "iscrowd": 0,
                    "segmentation": [_outline(box).tolist()],
                }
            )
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (folder / "instances.json").write_text(json.dumps(content), encoding="utf-8")
    return float(np.mean([file.stat().st_size for file in folder.glob("*.jpg")]))


def _outline(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """An ellipse in a box (x, y, width, height), as a polygon of as many corners as COCO's have: x, y, x, y, ..."""
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return (box[:2] + box[2:] * (unit + 1) / 2).ravel()


def our_batches(folder: Path, photos: Photos) -> Iterator[DetectionBatch]:
    """As a worker of training_loader makes them."""
    transform = DetectionTransform(
        _FLIP, shortest_side=(photos.shortest_side,), longest_side=photos.longest_side, training=True
    )
    dataset = DetectionDataset(load_coco(folder, "instances.json"), transform)
    starts = range(0, photos.count, photos.batch)
    batches = (range(first, min(first + photos.batch, photos.count)) for first in starts)
    return (collate([dataset[Place(place, 0, place)] for place in places], pad_to=32) for places in batches)


def their_batches(folder: Path, photos: Photos, masks: bool) -> Iterator[tuple[ImageList, list[dict[str, Tensor]]]]:
    """torchvision's reference: PIL, a flip, float32 in the worker; its model then normalizes, resizes and batches."""
    content = json.loads((folder / "instances.json").read_text(encoding="utf-8"))
    stats = [[value / 255 for value in values] for values in (IMAGENET_STATS.mean, IMAGENET_STATS.std)]
    resize = GeneralizedRCNNTransform(photos.shortest_side, photos.longest_side, *stats).train()
    objects_of: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        objects_of[annotation["image_id"]].append(annotation)
    draws = random.Random(0)

    def load(image: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        picture = Image.open(folder / image["file_name"]).convert("RGB")
        target = _their_target(objects_of[image["id"]], picture.height, picture.width, masks)
        if draws.random() < 0.5:
            picture, target = F.horizontal_flip(picture), _flipped(target, picture.width)
        return F.to_dtype(F.pil_to_tensor(picture), torch.float32, scale=True), target

    starts = range(0, photos.count, photos.batch)
    batches = ([load(image) for image in content["images"][first : first + photos.batch]] for first in starts)
    return (resize([image for image, _ in batch], [target for _, target in batch]) for batch in batches)


def _their_target(objects: list[dict[str, Any]], height: int, width: int, masks: bool) -> dict[str, Tensor]:
    boxes = torch.tensor([each["bbox"] for each in objects]).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    target = {"boxes": boxes, "labels": torch.ones(len(boxes), dtype=torch.int64)}
    if masks:
        outlines = [coco_mask.frPyObjects(each["segmentation"], height, width) for each in objects]
        target["masks"] = torch.stack([torch.from_numpy(coco_mask.decode(each)).any(dim=2) for each in outlines])
    return target


def _flipped(target: dict[str, Tensor], width: int) -> dict[str, Tensor]:
    x1, y1, x2, y2 = target["boxes"].unbind(dim=1)
    flipped = target | {"boxes": torch.stack([width - x2, y1, width - x1, y2], dim=1)}
    return flipped | ({"masks": target["masks"].flip(-1)} if "masks" in target else {})


def same_batches(
    ours: Iterator[DetectionBatch], theirs: Iterator[tuple[ImageList, Sequence[dict[str, Tensor]]]]
) -> Check:
    """As many batches of the same sizes, with pictures of the same colours and boxes that a flip at most sets apart."""
    count, differing = 0, []
    mean, std = (torch.tensor(values) / 255 for values in (IMAGENET_STATS.mean, IMAGENET_STATS.std))
    for mine, (images, targets) in zip(ours, theirs, strict=True):
        if mine.images.permute(0, 3, 1, 2).shape != images.tensors.shape or len(targets) != len(mine):
            differing.append(f"shapes {tuple(mine.images.shape)} and {tuple(images.tensors.shape)}")
            continue
        for place, (height, width) in enumerate(images.image_sizes):
            count += 1
            mine_colour = mine.images[place, :height, :width].float().mean(dim=(0, 1)) / 255
            their_colour = images.tensors[place, :, :height, :width].mean(dim=(1, 2)) * std + mean
            same = (
                mine.sizes[place].tolist() == [height, width]
                and float((mine_colour - their_colour).abs().max()) <= _SAME_COLOUR
                and _same_boxes(mine.targets[place].boxes, targets[place]["boxes"], width)
            )
            if not same:
                differing.append(f"image {count}")
    what = (
        f"{count} images of the same sizes, colours and boxes" if not differing else f"differ: {'; '.join(differing)}"
    )
    return Check(count > 0 and not differing, what)


def _same_boxes(ours: Tensor, theirs: Tensor, width: int) -> bool:
    if ours.shape != theirs.shape:
        return False
    flipped = torch.stack([width - theirs[:, 2], theirs[:, 1], width - theirs[:, 0], theirs[:, 3]], dim=1)
    return any(torch.allclose(ours, boxes, rtol=0, atol=_SAME_BOX) for boxes in (theirs, flipped))
