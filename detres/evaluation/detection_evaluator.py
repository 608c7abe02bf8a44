"""Collects the detections of a set image by image, on any number of ranks, and sums them up by both protocols.

I images, K classes, D detections.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.errors import DataError
from detres.evaluation.coco_ap import CocoBackend, coco_metrics
from detres.evaluation.flat_boxes import FlatDetections, image_turns
from detres.evaluation.voc_ap import voc_metrics
from detres.structures import Detections

ImageId = int | str


class DetectionEvaluator:
    """Metrics of one set of images.

    ground_truth: COCO's instances layout; see flat_boxes.py for what is ignored.
    class_names: K names, those that detections' labels index; each must be a category of the ground truth.
    image_ids: I ids by which images are added, one for each of ground_truth["images"]; None: the ids they have there.
    """

    def __init__(
        self, ground_truth: dict[str, Any], class_names: Sequence[str], *, image_ids: Sequence[ImageId] | None = None
    ) -> None:
        place_of_category = {category["name"]: i for i, category in enumerate(ground_truth["categories"])}
        missing = [name for name in class_names if name not in place_of_category]
        if missing:
            raise DataError(
                f"the model's classes {', '.join(missing)} are not among the set's ({', '.join(place_of_category)}); "
                "evaluate on a set with the model's classes, or select them with data.classes"
            )
        images = ground_truth["images"]
        ids = [image["id"] for image in images] if image_ids is None else list(image_ids)
        self._place_of_image = {image_id: place for place, image_id in enumerate(ids)}
        if len(ids) != len(images) or len(self._place_of_image) != len(images):
            raise ValueError(f"{len(images)} images have {len(ids)} ids, {len(self._place_of_image)} of them different")
        self.ground_truth = ground_truth
        self._category_places = np.array([place_of_category[name] for name in class_names], np.int64)
        self._found: dict[ImageId, dict[str, NDArray]] = {}

    def __len__(self) -> int:
        """How many images have been added."""
        return len(self._found)

    def add(self, image_id: ImageId, detections: Detections) -> None:
        """Keep what was found on one image, in its own pixels; an image added again replaces what it had.

        Raises ValueError for an image the set has not, and for boxes or scores that are not finite.
        """
        if image_id not in self._place_of_image:
            raise ValueError(f"image {image_id!r} is not in the ground truth")
        boxes = detections.boxes.detach().cpu().double().numpy()
        scores = detections.scores.detach().cpu().double().numpy()
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError(f"detections of image {image_id!r} are not finite")
        labels = self._category_places[detections.labels.cpu().numpy()]
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        self._found[image_id] = {"boxes": xywh, "scores": scores, "labels": labels}

    def leave_out(self, image_ids: Collection[ImageId]) -> None:
        """Take images that could not be read, and their objects, out of the set: they count in no figure."""
        images = self.ground_truth["images"]
        left_out = {images[self._place_of_image.pop(image_id)]["id"] for image_id in image_ids}
        self._found = {image_id: found for image_id, found in self._found.items() if image_id in self._place_of_image}
        self._place_of_image = {image_id: place for place, image_id in enumerate(self._place_of_image)}
        self.ground_truth = self.ground_truth | {
            "images": [image for image in images if image["id"] not in left_out],
            "annotations": [each for each in self.ground_truth["annotations"] if each["image_id"] not in left_out],
        }

    def state(self) -> dict[ImageId, dict[str, NDArray]]:
        """What this rank has found, by image id: picklable, for `merge` on another."""
        return dict(self._found)

    def merge(self, state: dict[ImageId, dict[str, NDArray]]) -> None:
        """Take in another rank's `state`; an image both have counts once."""
        self._found.update(state)

    def flat(self) -> FlatDetections:
        """All detections, by the turns of their images (flat_boxes.py), whatever order they were added in.

        Raises ValueError where an image was not added: metrics over a part of a set look like those of the whole.
        """
        absent = [image_id for image_id in self._place_of_image if image_id not in self._found]
        if absent:
            shown = ", ".join(repr(image_id) for image_id in absent[:5])
            raise ValueError(
                f"{len(absent)} of {len(self._place_of_image)} images were not added ({shown}); add each of them, "
                "with empty Detections where nothing was found"
            )
        ids, places = list(self._place_of_image), np.argsort(image_turns(self.ground_truth))
        rows = [self._found[ids[place]] for place in places.tolist()]
        counts = [len(row["scores"]) for row in rows]
        return FlatDetections(
            image=np.repeat(places, counts),
            label=np.concatenate([np.zeros(0, np.int64), *(row["labels"] for row in rows)]),
            boxes=np.concatenate([np.zeros((0, 4)), *(row["boxes"] for row in rows)]),
            scores=np.concatenate([np.zeros(0), *(row["scores"] for row in rows)]),
        )

    def summarize(self, *, backend: CocoBackend = "faster") -> dict[str, Any]:
        """What metrics.json holds of what was found on all images."""
        return detection_metrics(self.ground_truth, self.flat(), backend=backend)

    def results(self) -> list[dict[str, Any]]:
        """All detections in COCO's results format, with the ground truth's ids of images and categories."""
        return as_results(self.ground_truth, self.flat())


def detection_metrics(
    ground_truth: dict[str, Any], found: FlatDetections, *, backend: CocoBackend = "faster"
) -> dict[str, Any]:
    """What metrics.json holds: COCO's metrics, mAP50 and mAP50_07 of VOC, per_class with both, number of images.

    Fractions in 0..1, None where undefined.
    """
    coco = coco_metrics(ground_truth, found, backend=backend)
    voc = voc_metrics(ground_truth, found)
    per_class = {name: row | voc["per_class"][name] for name, row in coco["per_class"].items()}
    return coco | voc | {"per_class": per_class, "images": len(ground_truth["images"])}


def as_results(ground_truth: dict[str, Any], found: FlatDetections) -> list[dict[str, Any]]:
    """Detections in COCO's results format, with the ground truth's ids of images and categories."""
    image_ids = [image["id"] for image in ground_truth["images"]]
    category_ids = [category["id"] for category in ground_truth["categories"]]
    columns = (found.image, found.label, found.boxes, found.scores)
    return [
        {"image_id": image_ids[image], "category_id": category_ids[label], "bbox": box, "score": score}
        for image, label, box, score in zip(*(column.tolist() for column in columns), strict=True)
    ]
