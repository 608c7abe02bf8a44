"""The files an evaluation of detections leaves behind: detections.json, ground_truth.json, comp4_det_test_CLASS.txt."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detres.errors import DataError
from detres.files.whole import write_whole


def write_detections(folder: Path, detections: Sequence[dict[str, Any]]) -> Path:
    """detections.json: COCO's results format, one detection a line."""
    lines = ",\n".join(json.dumps(detection, allow_nan=False) for detection in detections)
    return write_whole(folder / "detections.json", f"[{lines}]\n")


def write_ground_truth(folder: Path, ground_truth: dict[str, Any]) -> Path:
    """ground_truth.json: an instances dict, for sets that were not COCO."""
    return write_whole(folder / "ground_truth.json", json.dumps(ground_truth, allow_nan=False) + "\n")


def write_comp4(folder: Path, ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]]) -> list[Path]:
    """comp4_det_test_CLASS.txt for every class; comp4_files says what is in them."""
    files = comp4_files(ground_truth, detections)
    return [write_whole(folder / name, content) for name, content in files.items()]


def comp4_files(ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The content of comp4_det_test_CLASS.txt for every class, by its name, as the VOC devkit and its server read them.

    A line is: image name, score, xmin, ymin, xmax, ymax; pixels count from 1 and the last one is inside, so continuous
    edges x1, x2 become x1 + 1, x2. The image's name is its file's without folder and ending.
    Raises DataError where two classes would share a file.
    """
    image_names = {image["id"]: Path(image["file_name"]).stem for image in ground_truth["images"]}
    lines: dict[Any, list[str]] = defaultdict(list)
    for detection in detections:
        x, y, width, height = detection["bbox"]
        corners = f"{x + 1:.3f} {y + 1:.3f} {x + width:.3f} {y + height:.3f}"
        name = image_names[detection["image_id"]]
        lines[detection["category_id"]].append(f"{name} {detection['score']:.8f} {corners}\n")
    files: dict[str, str] = {}
    for category in ground_truth["categories"]:
        # A class name may hold what a file name may not.
        stem = re.sub(r'[/\\:*?"<>|\x00-\x1f]', "_", category["name"])
        file = f"comp4_det_test_{stem}.txt"
        if file in files:
            raise DataError(f"two classes, one of them {category['name']!r}, would both be written to {file}")
        files[file] = "".join(lines[category["id"]])
    return files
