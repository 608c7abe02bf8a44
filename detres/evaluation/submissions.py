"""What evaluation servers take, from detections in COCO's results format: checked first, then packed.

COCO's takes a zip file of one JSON, both named TYPE_TESTSET_ALGORITHM_results (cocodataset.org, upload); VOC's takes a
gzipped tar of the devkit's results/ (VOC2012 devkit, section 4.3). I images, D detections.
"""

from __future__ import annotations

import io
import json
import math
import re
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from detres.errors import DataError
from detres.evaluation.detection_entries import box_of, number_of, shown
from detres.evaluation.detection_files import comp4_files
from detres.files.whole import whole_file

ALGORITHM = "detres"
COCO_MOST_PER_IMAGE = 100
"""COCO's server looks at no more."""

# COCO's ids of its 80 categories: 1 to 90 without those that were annotated in no release.
OFFICIAL_CATEGORY_IDS = frozenset(range(1, 91)) - {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}

_KEYS = ("image_id", "category_id", "score", "bbox")

# Detectors that count the last pixel as inside end one beyond.
_BEYOND = 1.0

_COCO_SET = re.compile(r"coco-(test(?:-dev|-challenge)?20\d\d)")
_VOC_SET = re.compile(r"voc(20\d\d)-test")


def write_submission(
    folder: Path, set_name: str, ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]]
) -> Path | None:
    """The file for the server of this set, by the set's name: coco-test-dev2017, voc2012-test; None for any other.

    Raises DataError where check_detections does, and for a COCO set with other category ids than the official ones.
    """
    if match := _COCO_SET.fullmatch(set_name):
        return write_coco_submission(folder, match[1], ground_truth, detections)
    if match := _VOC_SET.fullmatch(set_name):
        return write_voc_submission(folder, match[1], ground_truth, detections)
    return None


def most_per_image(set_name: str) -> int | None:
    """How many detections of an image this set's server takes; None where it states none, or there is no server."""
    return COCO_MOST_PER_IMAGE if _COCO_SET.fullmatch(set_name) else None


def write_coco_submission(
    folder: Path, test_set: str, ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]]
) -> Path:
    """detections_TESTSET_detres_results.zip; coordinates to a hundredth of a pixel, scores to seven digits."""
    name = f"detections_{test_set}_{ALGORITHM}_results"
    strange = {category["id"] for category in ground_truth["categories"]} - OFFICIAL_CATEGORY_IDS
    if strange:
        raise DataError(
            f"{name}: the set's category ids {_some(strange)} are none of COCO's; take the server's own image_info file"
        )
    check_detections(detections, ground_truth, name, most=COCO_MOST_PER_IMAGE)
    with (
        whole_file(folder / f"{name}.zip") as stream,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{name}.json", "w", force_zip64=True) as member,
    ):
        member.write(b"[")
        for place, detection in enumerate(detections):
            rounded = {
                "image_id": detection["image_id"],
                "category_id": detection["category_id"],
                "bbox": [round(value, 2) for value in detection["bbox"]],
                "score": round(detection["score"], 7),
            }
            member.write((",\n" if place else "").encode() + json.dumps(rounded).encode())
        member.write(b"]\n")
    return folder / f"{name}.zip"


def write_voc_submission(
    folder: Path, year: str, ground_truth: dict[str, Any], detections: Sequence[dict[str, Any]]
) -> Path:
    """results.tgz with results/VOC{year}/Main/comp4_det_test_CLASS.txt for every class."""
    check_detections(detections, ground_truth, "results.tgz")
    with whole_file(folder / "results.tgz") as stream, tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in comp4_files(ground_truth, detections).items():
            member = tarfile.TarInfo(f"results/VOC{year}/Main/{name}")
            member.size = len(content.encode())
            archive.addfile(member, io.BytesIO(content.encode()))
    return folder / "results.tgz"


def check_detections(
    detections: Sequence[Any],
    ground_truth: Mapping[str, Any],
    where: str,
    *,
    most: int | None = None,
    beyond: float = _BEYOND,
) -> None:
    """Raise one DataError with everything that is wrong with detections for these images, an example of each.

    detections: D entries of image_id, category_id, bbox (x, y, width, height) and score.
    ground_truth: COCO's instances layout; its images state height and width. where: names the detections in the error.
    most: detections of an image. beyond: pixels by which a box may leave its image.
    An image without a detection is no mistake.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in ground_truth["images"]}
    categories = {category["id"] for category in ground_truth["categories"]}
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    per_image: Counter[Any] = Counter()
    for place, detection in enumerate(detections):
        problems = list(_wrong(detection, sizes, categories, beyond))
        for kind, detail in problems:
            counts[kind] += 1
            examples.setdefault(kind, f"{detail} (entry {place})")
        if not problems:
            per_image[detection["image_id"]] += 1
    for image_id, count in per_image.items():
        if most is not None and count > most:
            kind = f"images with more than {most} detections; set test.max_detections={most}"
            counts[kind] += 1
            examples.setdefault(kind, f"{image_id!r} with {count}")
    if counts:
        raise DataError(
            f"{where}: {len(detections)} detections do not fit the set of {len(sizes)} images:"
            + "".join(f"\n  {count} × {kind}, such as {examples[kind]}" for kind, count in counts.items())
        )


def _wrong(
    entry: Any, sizes: Mapping[Any, tuple[float, float]], categories: set[Any], beyond: float
) -> Iterator[tuple[str, str]]:
    """(kind, what it is) of everything that is wrong with one entry."""
    lacking = [key for key in _KEYS if not isinstance(entry, dict) or key not in entry]
    box, score = (None, None) if lacking else (box_of(entry), number_of(entry["score"]))
    if box is None or score is None or not (_is_id(entry["image_id"]) and _is_id(entry["category_id"])):
        what = f"KeyError {lacking[0]!r}" if lacking and isinstance(entry, dict) else shown(entry)
        yield "no entry of image_id, category_id, bbox and score", what
        return
    image_id, category_id = entry["image_id"], entry["category_id"]
    size = sizes.get(image_id)
    if size is None:
        yield "unknown image id", shown(image_id)
    if category_id not in categories:
        yield "unknown category id", shown(category_id)
    if not 0.0 <= score <= 1.0:  # nan is none, either
        yield "score outside 0..1", str(score)
    x, y, width, height = box
    if not all(map(math.isfinite, box)):
        yield "box that is not finite", str(list(box))
    elif width < 0 or height < 0:
        yield "box with a negative side", str(list(box))
    elif size is not None and (min(x, y) < -beyond or x + width > size[0] + beyond or y + height > size[1] + beyond):
        yield "box outside its image", f"{list(box)} on {size[0]}x{size[1]} pixels"


def _is_id(value: Any) -> bool:
    """Whether it can be looked up: true and 1 are not one id, and a list is none."""
    return isinstance(value, int | str | float) and not isinstance(value, bool)


def _some(values: set[Any]) -> str:
    shown = ", ".join(str(value) for value in sorted(values, key=str)[:5])
    return shown + (", …" if len(values) > 5 else "")
