"""COCO's average precision and recall, through faster-coco-eval or pycocotools.

T IoU thresholds, R recall points, K classes, A area ranges, M limits of detections an image.
"""

from __future__ import annotations

import contextlib
import gc
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from detres.evaluation.flat_boxes import FlatDetections, FlatObjects, flat_detections, flat_objects, image_turns

CocoBackend = Literal["faster", "pycocotools"]

# Where COCO's parameters keep IoU 0.5 and 0.75 (0.5:0.05:0.95), the area ranges and the limits 1, 10, 100.
_IOU50, _IOU75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_TOP1, _TOP10, _TOP100 = range(3)


def coco_metrics(
    ground_truth: dict[str, Any],
    detections: Sequence[dict[str, Any]] | FlatDetections,
    *,
    backend: CocoBackend = "faster",
) -> dict[str, Any]:
    """The numbers of COCO's detection challenge.

    ground_truth: an instances dict (images, annotations, categories; see flat_boxes.py for what is ignored).
    detections: COCO's results format; neither is changed.
    Returns AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, and per_class {name: {AP, AP50}}: fractions in 0..1, None
    where there is nothing to find. Ids of images and annotations may be anything: they are renumbered, because the
    reference takes a match with annotation 0 for none; images in the order of their ids, which decides between equal
    scores.
    Source: https://cocodataset.org/#detection-eval.
    """
    names = [category["name"] for category in ground_truth["categories"]]
    precision, recall = coco_curves(ground_truth, detections, backend=backend)
    return {
        "AP": _mean(precision[:, :, :, _ALL, _TOP100]),
        "AP50": _mean(precision[_IOU50, :, :, _ALL, _TOP100]),
        "AP75": _mean(precision[_IOU75, :, :, _ALL, _TOP100]),
        "APs": _mean(precision[:, :, :, _SMALL, _TOP100]),
        "APm": _mean(precision[:, :, :, _MEDIUM, _TOP100]),
        "APl": _mean(precision[:, :, :, _LARGE, _TOP100]),
        "AR1": _mean(recall[:, :, _ALL, _TOP1]),
        "AR10": _mean(recall[:, :, _ALL, _TOP10]),
        "AR100": _mean(recall[:, :, _ALL, _TOP100]),
        "per_class": {
            name: {
                "AP": _mean(precision[:, :, k, _ALL, _TOP100]),
                "AP50": _mean(precision[_IOU50, :, k, _ALL, _TOP100]),
            }
            for k, name in enumerate(names)
        },
    }


def coco_curves(
    ground_truth: dict[str, Any],
    detections: Sequence[dict[str, Any]] | FlatDetections,
    *,
    backend: CocoBackend = "faster",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision (T, R, K, A, M) and recall (T, K, A, M), -1 where undefined; arguments as for coco_metrics.

    T: IoU 0.5:0.05:0.95. R: recall 0:0.01:1. A: all, small, medium, large. M: 1, 10, 100 detections an image.
    """
    objects, found = flat_objects(ground_truth), flat_detections(ground_truth, detections)
    num_classes, turns = len(ground_truth["categories"]), image_turns(ground_truth)
    if not num_classes or not len(turns):
        return np.full((10, 101, num_classes, 4, 3), -1.0), np.full((10, num_classes, 4, 3), -1.0)
    objects, found = replace(objects, image=turns[objects.image]), replace(found, image=turns[found.image])
    return _curves(objects, found, len(turns), num_classes, backend)


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean of what is defined; the reference marks the rest by -1."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None


def _curves(
    objects: FlatObjects, found: FlatDetections, num_images: int, num_classes: int, backend: CocoBackend
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision (T, R, K, A, M) and recall (T, K, A, M), -1 where undefined; images are numbered by their turns."""
    # Imported here: neither is needed to train.
    if backend == "faster":
        from faster_coco_eval import COCO, COCOeval_faster

        api, evaluate = COCO, lambda truth, results: COCOeval_faster(truth, results, "bbox", print_function=_silent)
    else:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval

        api, evaluate = COCO, lambda truth, results: COCOeval(truth, results, "bbox")
    # pycocotools prints its progress, and has no switch for it.
    with contextlib.redirect_stdout(io.StringIO()), _no_garbage_collection():
        indexed = []
        for annotations in (_annotations(objects), _results(found)):
            index = api()
            index.dataset = {
                "images": [{"id": image} for image in range(num_images)],
                "categories": [{"id": label} for label in range(num_classes)],
                "annotations": annotations,
            }
            index.createIndex()
            indexed.append(index)
        evaluation = evaluate(*indexed)
        evaluation.evaluate()
        evaluation.accumulate()
    return np.asarray(evaluation.eval["precision"]), np.asarray(evaluation.eval["recall"])


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Half a million live dicts are searched again and again for garbage otherwise: a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _silent(*_: object) -> None:
    pass


def _annotations(objects: FlatObjects) -> list[dict[str, Any]]:
    columns = (objects.image, objects.label, objects.boxes, objects.areas, objects.ignore)
    return [
        {"id": n, "image_id": image, "category_id": label, "bbox": box, "area": area, "iscrowd": int(ignore)}
        for n, (image, label, box, area, ignore) in enumerate(zip(*(c.tolist() for c in columns), strict=True), start=1)
    ]


def _results(found: FlatDetections) -> list[dict[str, Any]]:
    columns = (found.image, found.label, found.boxes, found.scores)
    return [
        {
            "id": n,
            "image_id": image,
            "category_id": label,
            "bbox": box,
            "area": box[2] * box[3],
            "iscrowd": 0,
            "score": score,
        }
        for n, (image, label, box, score) in enumerate(zip(*(c.tolist() for c in columns), strict=True), start=1)
    ]
