"""Ground truth in COCO's layout and detections in COCO's results format, as flat arrays that both protocols read.

I images, K classes, G objects, D detections. Images and classes are numbered by their place in the ground truth.

Equal scores need an order, or a figure depends on how a file happens to be sorted. By COCO's protocol images take turns
by their ids, and what was found on one image goes in the order given, as pycocotools has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detres.data.formats.coco.ignore_marks import ignored_as
from detres.errors import DataError


@dataclass(frozen=True, eq=False)
class FlatObjects:
    """What is there. image, label: (G,) int64. boxes: (G, 4) float64 x, y, width, height. areas: (G,) float64.
    ignore: (G,) bool: crowd regions and difficult objects, neither to be found nor false when found."""

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    ignore: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FlatDetections:
    """What was found. image, label: (D,) int64. boxes: (D, 4) float64 x, y, width, height. scores: (D,) float64."""

    image: NDArray[np.int64]
    label: NDArray[np.int64]
    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    def select(self, rows: NDArray) -> FlatDetections:
        """Some of the detections, by a mask or by their places."""
        return FlatDetections(self.image[rows], self.label[rows], self.boxes[rows], self.scores[rows])


def flat_objects(ground_truth: dict[str, Any]) -> FlatObjects:
    """The annotations of an instances dict.

    data/formats/coco/ignore_marks.py says what marks an annotation to be ignored; an "area" that is missing is width ×
    height.
    Raises DataError where an annotation names an image or a category the dict has not, or a mark of it is no flag.
    """
    annotations = ground_truth["annotations"]
    boxes = _boxes(annotations)
    return FlatObjects(
        image=_places(annotations, "image_id", ground_truth["images"], "annotation"),
        label=_places(annotations, "category_id", ground_truth["categories"], "annotation"),
        boxes=boxes,
        areas=np.array([a.get("area", b[2] * b[3]) for a, b in zip(annotations, boxes, strict=True)], np.float64),
        ignore=np.array([_is_ignored(a) for a in annotations], np.bool_),
    )


def _is_ignored(annotation: dict[str, Any]) -> bool:
    how = ignored_as(annotation)
    if how is None:
        stated = [f"{key}: {annotation[key]!r}" for key in ("iscrowd", "ignore", "difficult") if key in annotation]
        raise DataError(
            f"annotation {annotation.get('id')!r}: iscrowd, ignore and difficult are 0 or 1, got {', '.join(stated)}"
        )
    return how != "nothing"


def flat_detections(
    ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]] | FlatDetections
) -> FlatDetections:
    """Detections in COCO's results format, in the order given; what is flat already is returned as it is.

    Raises DataError where one names an image or a category the ground truth has not, or is not finite.
    """
    if isinstance(detections, FlatDetections):
        return detections
    flat = FlatDetections(
        image=_places(detections, "image_id", ground_truth["images"], "detection"),
        label=_places(detections, "category_id", ground_truth["categories"], "detection"),
        boxes=_boxes(detections),
        scores=np.array([d["score"] for d in detections], np.float64),
    )
    broken = ~(np.isfinite(flat.boxes).all(axis=1) & np.isfinite(flat.scores))
    if broken.any():
        first = detections[int(broken.argmax())]
        raise DataError(f"{int(broken.sum())} detections are not finite, the first is {first}; the model has diverged")
    return flat


def image_turns(ground_truth: dict[str, Any]) -> NDArray[np.int64]:
    """(I,) the turn of each image among all: by rising id, numbers before text."""
    ids = [image["id"] for image in ground_truth["images"]]
    order = sorted(range(len(ids)), key=lambda place: (isinstance(ids[place], str), ids[place]))
    turns = np.empty(len(ids), np.int64)
    turns[order] = np.arange(len(ids))
    return turns


def best_first(found: FlatDetections, turns: NDArray[np.int64]) -> NDArray[np.int64]:
    """(D,) places by falling score; equal scores by their images' turns, then as they are given."""
    return np.lexsort((turns[found.image], -found.scores))


def image_and_class(objects: FlatObjects, found: FlatDetections) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Image and class in one number, (G,) and (D,), equal for what may be compared within a class."""
    classes = 1 + max(objects.label.max(initial=0), found.label.max(initial=0))
    return objects.image * classes + objects.label, found.image * classes + found.label


def _boxes(rows: Sequence[dict[str, Any]]) -> NDArray[np.float64]:
    return np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)


def _places(rows: Sequence[dict[str, Any]], key: str, known: Sequence[dict[str, Any]], what: str) -> NDArray[np.int64]:
    """For each row, which of the known things its `key` names."""
    place_of = {thing["id"]: place for place, thing in enumerate(known)}
    places = [place_of.get(row[key], -1) for row in rows]
    if -1 in places:
        strangers = list(dict.fromkeys(row[key] for row, place in zip(rows, places, strict=True) if place < 0))
        shown = ", ".join(repr(stranger) for stranger in strangers[:5])
        raise DataError(
            f"{len(strangers)} values of {key} in the {what}s are not in the ground truth ({shown}); "
            f"evaluate against the set the {what}s belong to"
        )
    return np.array(places, np.int64)
