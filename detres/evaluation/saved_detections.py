"""Detections in COCO's results format read back from a file, of whatever detector, and held against a set of images."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from detres.errors import DataError
from detres.evaluation.flat_boxes import FlatDetections, flat_detections
from detres.evaluation.submissions import check_detections

MEND = "Evaluate on the set, the split and the classes (data.classes) they were made on"


def read_detections(file: Path, ground_truth: dict[str, Any]) -> FlatDetections:
    """What a file says was found, in the set's order of images; those of an image are in the file's order.

    file: a list of image_id, category_id, bbox (x, y, width, height) and score, or a folder with a detections.json.
    ground_truth: COCO's instances layout of the set. Boxes may reach beyond their image.
    Raises DataError where there is no such file or list, an entry is malformed or of another set, or a
    ground_truth.json beside the file has other images or classes: sets that were not COCO all count from 1.
    """
    file = file / "detections.json" if file.is_dir() else file
    try:
        entries = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file of detections") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: this is no JSON: {error}; write it again") from None
    if not isinstance(entries, list):
        raise DataError(
            f"{file}: it holds {type(entries).__name__}, expected a list of objects with image_id, category_id, bbox "
            "and score, as in COCO's results format"
        )
    _check_neighbour(file, ground_truth)
    try:
        check_detections(entries, ground_truth, str(file), beyond=math.inf)
    except DataError as error:
        raise DataError(f"{error}\n{MEND}") from None
    flat = flat_detections(ground_truth, entries)
    order = np.argsort(flat.image, kind="stable")
    return FlatDetections(flat.image[order], flat.label[order], flat.boxes[order], flat.scores[order])


def _check_neighbour(file: Path, ground_truth: dict[str, Any]) -> None:
    """Raise DataError where the ground_truth.json that eval_det left beside the file is of other images or classes."""
    neighbour = file.with_name("ground_truth.json")
    try:
        theirs = json.loads(neighbour.read_bytes())
        told = {_meaning(entry): entry["id"] for key in ("images", "categories") for entry in theirs[key]}
    except (OSError, ValueError, TypeError, KeyError):
        return  # There is none, or it is something else of that name.
    ours = {_meaning(entry): entry["id"] for key in ("images", "categories") for entry in ground_truth[key]}
    apart = [meaning for meaning in told if told[meaning] != ours.get(meaning)]
    if apart:
        raise DataError(
            f"{file}: these are detections of another set: {neighbour.name} beside it has {len(apart)} images and "
            f"classes that this set has not, or not by this number, such as {apart[0]} as {told[apart[0]]}. {MEND}"
        )


def _meaning(entry: dict[str, Any]) -> str:
    """What an id stands for: a category's name, or an image's without its folder, since sets are moved."""
    return f"class {entry['name']}" if "name" in entry else f"image {Path(entry['file_name']).name}"
