"""The files an evaluation of detections leaves behind: detections.json, ground_truth.json, comp4_det_test_CLASS.txt."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detres.files.names import unique_names
from detres.files.whole import write_whole

_SHOWN = 5


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
    """
    image_names = {image["id"]: _in_a_line(Path(image["file_name"]).stem) for image in ground_truth["images"]}
    lines: dict[Any, list[str]] = defaultdict(list)
    for detection in detections:
        x, y, width, height = detection["bbox"]
        corners = f"{x + 1:.3f} {y + 1:.3f} {x + width:.3f} {y + height:.3f}"
        name = image_names[detection["image_id"]]
        lines[detection["category_id"]].append(f"{name} {detection['score']:.8f} {corners}\n")
    categories = ground_truth["categories"]
    files = comp4_names([category["name"] for category in categories])
    return {file: "".join(lines[each["id"]]) for file, each in zip(files, categories, strict=True)}


def comp4_names(class_names: Sequence[str]) -> list[str]:
    """The file of each class: a name may hold what a file's may not, and no two classes share one."""
    return [f"comp4_det_test_{stem}.txt" for stem in unique_names(class_names)]


def renaming_lines(class_names: Sequence[str]) -> list[str]:
    """What people should know of comp4 files that are not called as their classes are."""
    renamed = [
        f"{name!r} in {file}"
        for name, file in zip(class_names, comp4_names(class_names), strict=True)
        if file != f"comp4_det_test_{name}.txt"
    ]
    more = f" and {len(renamed) - _SHOWN} more" if len(renamed) > _SHOWN else ""
    return [f"{len(renamed)} classes get files of other names: {', '.join(renamed[:_SHOWN])}{more}"] if renamed else []


def _in_a_line(name: str) -> str:
    return "".join(letter if letter.isprintable() else "_" for letter in name)
