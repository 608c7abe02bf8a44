"""The pictures of an evaluation during training: ground truth beside predictions, for loggers that take pictures."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detres.data.detection.annotations import AnnotatedImages
from detres.structures import Detections
from detres.tasks.detection.measuring import Measured


class LoggedPictures:
    """The first images of the split that could be decoded, as the last evaluation found them."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._split = ""
        self._images: AnnotatedImages | None = None
        self._entries: dict[int, list[dict[str, Any]]] = {}
        self._labels: dict[int | str, int] = {}

    def remember(self, split: str, images: AnnotatedImages, measured: Measured) -> None:
        """Keep what was found on these images, and nothing of the others."""
        places = islice((i for i in range(len(images)) if i not in measured.undecodable), self._count)
        place_of = {images.image_id(i): i for i in places}
        self._split, self._images = split, images
        self._entries = {i: [] for i in place_of.values()}
        for entry in measured.detections if place_of else ():
            if entry["image_id"] in place_of:
                self._entries[place_of[entry["image_id"]]].append(entry)
        categories = measured.ground_truth["categories"]
        self._labels = {category["id"]: label for label, category in enumerate(categories)}

    def __call__(self) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """(SPLIT/PLACE, uint8 RGB) of each. Raises DataError where an image can no longer be read."""
        from detres.report.drawing import draw_comparison  # of the report, which few runs need

        images = self._images
        for place, entries in self._entries.items():
            assert images is not None, "they came with the entries"
            found = self._detections(entries, images.size(place))
            rgb, target = images.pixels(place), images.target(place)
            yield f"{self._split}/{place}", draw_comparison(rgb, target, found, images.class_names)

    def _detections(self, entries: list[dict[str, Any]], size: tuple[int, int]) -> Detections:
        best_first = sorted(entries, key=lambda entry: -entry["score"])
        boxes = torch.tensor([entry["bbox"] for entry in best_first]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]  # COCO's are x, y, width, height
        return Detections(
            boxes=boxes,
            scores=torch.tensor([float(entry["score"]) for entry in best_first]),
            labels=torch.tensor([self._labels[entry["category_id"]] for entry in best_first], dtype=torch.int64),
            image_size=size,
        )
