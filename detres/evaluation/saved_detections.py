"""Detections in COCO's results format read back from a file, of whatever detector, and held against a set of images."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detres.errors import DataError
from detres.evaluation.detection_entries import box_of, number_of, shown, with_ids_of
from detres.evaluation.flat_boxes import FlatDetections, flat_detections
from detres.evaluation.submissions import check_detections
from detres.files.text import read_json_text

MEND = "Evaluate on the set, the split and the classes (data.classes) they were made on"


def read_detections(
    file: Path, ground_truth: dict[str, Any], *, other_ids: Mapping[Any, Any] | None = None, left_out: int = 0
) -> FlatDetections:
    """What a file says was found, in the set's order of images; those of an image are in the file's order.

    file: a list of image_id, category_id, bbox (x, y, width, height) and score, or a folder with a detections.json.
    ground_truth: COCO's instances layout of the set. Boxes may reach beyond their image. other_ids: further ids of
    categories, as AnnotatedImages has them. left_out: of how many images that the ground truth has not, detections may
    be there; they are left out as well.
    Raises DataError where there is no such file or list, an entry is malformed or of another set, or a
    ground_truth.json beside the file has other images or classes: sets that were not COCO all count from 1.
    """
    file = file / "detections.json" if file.is_dir() else file
    entries = read_json(file)
    if not isinstance(entries, list):
        raise DataError(
            f"{file}: it holds {type(entries).__name__}, expected a list of objects with image_id, category_id, bbox "
            "and score, as in COCO's results format"
        )
    _check_neighbour(file, ground_truth)
    entries = _without(with_ids_of(entries, ground_truth, other_ids or {}), ground_truth, left_out)
    try:
        check_detections(entries, ground_truth, str(file), beyond=math.inf)
    except DataError as error:
        raise DataError(f"{error}\n{MEND}") from None
    numbers = [{**entry, "bbox": box_of(entry), "score": number_of(entry["score"])} for entry in entries]
    flat = flat_detections(ground_truth, numbers)
    return flat.select(np.argsort(flat.image, kind="stable"))


def read_json(file: Path) -> Any:
    """The content of a JSON file. DataError where it cannot be read, or is none that can be taken in."""
    try:
        return json.loads(read_json_text(file))
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file of detections") from None
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error})") from None
    except json.JSONDecodeError as error:
        mend = "join its lines into one list" if error.msg == "Extra data" else "write it again"
        raise DataError(f"{file}: this is no JSON: {error}; {mend}") from None
    except ValueError as error:
        raise DataError(f"{file}: this is no JSON: {error}; write it again") from None
    except RecursionError:
        raise DataError(f"{file}: this is no JSON of detections: lists in lists, too deep to read") from None


def has_neighbour(file: Path) -> bool:
    """Whether the ground truth lies beside the file, by which other images of the same numbers are found out."""
    return (file if file.is_dir() else file.parent).joinpath("ground_truth.json").is_file()


def _without(entries: list[Any], ground_truth: dict[str, Any], left_out: int) -> list[Any]:
    """The entries without those of at most `left_out` images that the ground truth has not."""
    if not left_out:
        return entries
    known = {str(image["id"]) for image in ground_truth["images"]}
    absent = [isinstance(entry, dict) and shown(entry.get("image_id")) for entry in entries]
    strange = {
        each for each, entry in zip(absent, entries, strict=True) if each and str(entry.get("image_id")) not in known
    }
    if len(strange) > left_out:
        return entries
    return [entry for each, entry in zip(absent, entries, strict=True) if each not in strange]


def _check_neighbour(file: Path, ground_truth: dict[str, Any]) -> None:
    """Raise DataError where the ground_truth.json that eval_det left beside the file is of other images or classes."""
    neighbour = file.with_name("ground_truth.json")
    try:
        theirs = json.loads(read_json_text(neighbour))
        told = {_meaning(entry): entry["id"] for key in ("images", "categories") for entry in theirs[key]}
    except (DataError, OSError, ValueError, TypeError, KeyError, RecursionError):
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
