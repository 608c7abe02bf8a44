"""report.html of an evaluation: what it shows of the detections, and the pictures of the images that went worst."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from detres.config.detection_schema import Config
from detres.data.detection.annotations import AnnotatedImages
from detres.environment import device_name, versions
from detres.evaluation.error_analysis import analyze_errors
from detres.evaluation.flat_boxes import FlatDetections, FlatObjects, flat_detections, flat_objects
from detres.evaluation.image_errors import image_badness
from detres.files.whole import write_whole
from detres.report.html_data import class_data, confusion_data, curve_axes, error_data, headline_data
from detres.report.html_page import html_page
from detres.report.html_pictures import picture_data
from detres.tasks.detection.measuring import Measured
from detres.tasks.detection.thumbnails import scaled_size, thumbnail

PICTURES = 200
# Of metrics.json, by the words the page has for it.
_STATED = {
    "set": "set",
    "split": "split",
    "annotations": "digest of the annotations",
    "weights": "digest of the weights",
    "detections": "digest of the detections",
    "fusion": "fusion",
    "precision": "precision",
}


def write_report(
    folder: Path,
    measured: Measured,
    images: AnnotatedImages,
    config: Config,
    *,
    device: torch.device | None = None,
    pictures: int = PICTURES,
) -> Path:
    """report.html beside metrics.json.

    measured: of these images, in their order. device: what the detector ran on; None where none did. pictures: how many
    of the worst images are shown. An image that cannot be read is shown as a grey one.
    """
    objects = flat_objects(measured.ground_truth)
    found = flat_detections(measured.ground_truth, measured.detections)
    errors = analyze_errors(measured.ground_truth, found)
    badness = image_badness(objects, found, errors.judged, len(images))
    worst = np.argsort(-badness, kind="stable")[:pictures].tolist()
    metrics = measured.metrics
    data = {
        "about": _about(images, objects, found) + _wrong(metrics),
        "headline": headline_data(metrics),
        "axes": curve_axes(),
        "classes": class_data(measured.ground_truth, objects, found, errors, metrics),
        "errors": error_data(errors, found),
        "confusion": confusion_data(measured.ground_truth, found),
        "imageCount": len(images),
        "images": [
            {"name": images.file_name(i), "badness": round(float(badness[i]), 2)}
            | scaled_size(images.size(i))
            | picture_data(i, images.size(i), objects, found, errors.judged)
            for i in worst
        ],
        "environment": _environment(metrics, device),
        "config": yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True),
    }
    score = "undefined" if metrics["mAP50"] is None else f"{100 * metrics['mAP50']:.1f}"
    page = html_page(f"{images.name}: mAP@0.5 {score}", data, [thumbnail(images, i)[0] for i in worst])
    return write_whole(folder / "report.html", page)


def _about(images: AnnotatedImages, objects: FlatObjects, found: FlatDetections) -> str:
    to_find = int((~objects.ignore).sum())
    classes = f"{len(images.class_names)} class{'es' if len(images.class_names) != 1 else ''}"
    return f"{len(images):,} images, {to_find:,} objects of {classes}, {len(found.scores):,} detections"


def _wrong(metrics: dict[str, Any]) -> str:
    """What the figures are without: they would look like those of the whole set."""
    left_out = metrics.get("images_left_out", 0)
    told = f"; {left_out:,} image{'s' if left_out != 1 else ''} of the set left out" if left_out else ""
    problems = ", ".join(f"{count:,} × {kind}" for kind, count in metrics.get("problems", {}).items())
    return told + (f"; problems of the set: {problems}" if problems else "")


def _environment(metrics: dict[str, Any], device: torch.device | None) -> list[tuple[str, str]]:
    """What was evaluated, on what, with which versions."""
    rows: list[tuple[str, Any]] = [(label, metrics[key]) for key, label in _STATED.items() if metrics.get(key)]
    if device is not None:
        threads = f", torch's threads: {torch.get_num_threads()}" if device.type == "cpu" else ""
        rows.append(("device", device_name(device) + threads))
    return [(name, ", ".join(value) if isinstance(value, list) else str(value)) for name, value in rows] + [
        *versions().items()
    ]
