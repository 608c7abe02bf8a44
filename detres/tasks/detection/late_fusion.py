"""Detections that any detectors left in files, evaluated: one file as it is, several merged image by image.

F files, I images, D detections.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from detres.boxes import clip_boxes
from detres.config.detection_schema import Config, TestConfig
from detres.config.loading import Layer, load_config, read_override, resolve
from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.coco.reading import coco_ground_truth
from detres.detection.testing.fusion import View, fuse
from detres.errors import ConfigError, DataError
from detres.evaluation.box_readings import other_reading
from detres.evaluation.detection_evaluator import as_results, detection_metrics
from detres.evaluation.detection_files import renaming_lines
from detres.evaluation.flat_boxes import FlatDetections, image_turns
from detres.evaluation.saved_detections import has_neighbour, read_detections
from detres.files.names import safe_name
from detres.reporter import SILENT, Reporter
from detres.tables import FUSIONS
from detres.tasks.detection.evaluated_sets import load_measured, split_to_measure
from detres.tasks.detection.evaluation import say_unannotated, tell_and_write
from detres.tasks.detection.measuring import Measured
from detres.tasks.detection.reporting import write_report
from detres.tasks.runs.evaluation_places import Asked, file_digest, set_and_split
from detres.tasks.runs.output_folders import make_folder
from detres.tasks.runs.told_problems import problem_metrics

USED = ("data", "test.fusion", "test.nms", "test.max_detections")
"""Keys that matter where nothing is detected any more."""


def evaluate_files(files: Sequence[str | Path], asked: Asked, *, report: bool = False) -> dict[str, Any]:
    """The content of metrics.json.

    files: in COCO's results format (or folders with a detections.json), of the images of the set that asked.cfg or
    asked.layers (--data) name; evaluation/saved_detections.py says what is refused. Several are merged by test.fusion,
    which is nms where it is null, with test.nms and test.max_detections; test.score is not asked again.
    asked.out: None is runs/late_fusion/SET-SPLIT-FUSION; no device is asked.
    report: whether report.html is made, too.
    """
    reporter = asked.reporter
    config = fusion_config(asked.cfg, asked.layers, asked.overrides)
    method = fusion_method(config.test.fusion) if len(files) > 1 else None
    split = split_to_measure(config, asked.split, reporter)
    images = load_measured(config.data, split, reporter)
    if not len(images.boxes):
        say_unannotated(images, reporter)
    ground_truth = coco_ground_truth(images)
    sources = [path / "detections.json" if path.is_dir() else path for path in map(Path, files)]
    members = []
    left_out = _left_out(images, sources)
    for source in sources:
        members.append(read_detections(source, ground_truth, other_ids=images.other_ids, left_out=left_out))
        if told := other_reading(ground_truth, members[-1]):
            reporter.say(f"warning: {source}: {told}")
        reporter.say(f"{source}: {len(members[-1].scores)} detections on {len(np.unique(members[-1].image))} images")
    reporter.say(
        f"{images.name}: {len(images)} images" + (f"; {len(files)} files are merged by {method}" if method else "")
    )
    for line in renaming_lines(images.class_names) if config.data.format == "voc" else ():
        reporter.say(line)
    folder = _made_folder(asked.out, set_and_split(images.name, split), method, sources)
    found = members[0]
    if method is not None:
        found = merge_detections(members, images.sizes, method, config.test, reporter=reporter)
    # As DetectionEvaluator gives what was just detected, so that equal scores go the same way.
    found = found.select(np.argsort(image_turns(ground_truth)[found.image], kind="stable"))
    metrics = detection_metrics(ground_truth, found) | {
        "set": images.name,
        "annotations": images.digest(),
        **problem_metrics(images.problems),
        "unreadable_images": [],  # None was read.
        "split": split,
        "detections": [file_digest(source) for source in sources],
        "fusion": method,
    }
    measured = Measured(metrics, as_results(ground_truth, found), ground_truth)
    tell_and_write(folder, measured, config.data.format, reporter)
    if report:
        reporter.say(f"report: {write_report(folder, measured, images, config)}")
    return metrics


def _left_out(images: AnnotatedImages, sources: Sequence[Path]) -> int:
    """How many images data.strict=false left out of the set, on which the files may have detections.

    Raises DataError where the files do not say which images they mean: those of a set that was not COCO have numbers,
    which an image that is not there moves.
    """
    left_out = problem_metrics(images.problems)["images_left_out"]
    unsaid = [source for source in sources if not has_neighbour(source)]
    if left_out and unsaid and images.category_ids is None:
        raise DataError(
            f"{unsaid[0]}: images of this set are numbered in their order, and {left_out} are left out, so the numbers "
            "may be of other images; bring them back, or lay the ground_truth.json of these detections beside the file"
        )
    return left_out


def merge_detections(
    members: Sequence[FlatDetections],
    sizes: NDArray[np.int64],
    method: str,
    test: TestConfig,
    *,
    reporter: Reporter = SILENT,
) -> FlatDetections:
    """The F members' detections of each image merged, best first, after their boxes were cut at its edges.

    members: each sorted by image. sizes: (I, 2), height and width.
    """
    firsts = [np.searchsorted(member.image, np.arange(len(sizes) + 1)) for member in members]
    rows = []
    for i, size in enumerate(sizes.tolist()):
        views = [_view(m, slice(f[i], f[i + 1]), size) for m, f in zip(members, firsts, strict=True)]
        boxes, scores, labels = fuse(views, method, nms_iou=test.nms, max_detections=test.max_detections)
        xywh = torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], dim=1)
        rows.append(FlatDetections(np.full(len(scores), i), labels.numpy(), xywh.numpy(), scores.numpy()))
        reporter.progress(i + 1)
    return FlatDetections(
        image=np.concatenate([np.zeros(0, np.int64), *(row.image for row in rows)]),
        label=np.concatenate([np.zeros(0, np.int64), *(row.label for row in rows)]),
        boxes=np.concatenate([np.zeros((0, 4)), *(row.boxes for row in rows)]),
        scores=np.concatenate([np.zeros(0), *(row.scores for row in rows)]),
    )


def _view(member: FlatDetections, rows: slice, size: tuple[int, int]) -> View:
    xywh = torch.from_numpy(member.boxes[rows])
    boxes = clip_boxes(torch.cat([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], dim=1), size)
    return boxes, torch.from_numpy(member.scores[rows]), torch.from_numpy(member.label[rows])


def fusion_config(cfg: str | None, layers: Sequence[Layer], overrides: Sequence[str]) -> Config:
    """Whose data, and how to merge.

    Raises ConfigError where nobody names the data, or an override is about running a detector.
    """
    stated = [override.partition("=")[0] for override in overrides]
    idle = [key for key in stated if not any(key == used or key.startswith(f"{used}.") for used in USED)]
    if idle:
        raise ConfigError(
            f"{', '.join(idle)}: detections from files are not made anew; what counts is {', '.join(USED)}"
        )
    # What fuses files needs no scales and mirrors beside it, which config/key_effects.py asks for.
    said = [*layers, *(replace(read_override(text), origin="made") for text in overrides)]
    if cfg:
        return cast(Config, load_config(cfg, layers=said))
    if not layers:
        raise ConfigError("--detections says nothing of the images they were made on; name them with --cfg or --data")
    return cast(Config, resolve(said))


def fusion_method(stated: str | None) -> str:
    """Raises ConfigError for maxout, which merges features."""
    if stated == "maxout":
        raise ConfigError(
            f"test.fusion=maxout merges features, and files hold detections; choose one of {', '.join(FUSIONS)}"
        )
    return stated or "nms"


def _made_folder(out: str | Path | None, set_name: str, method: str | None, sources: Sequence[Path]) -> Path:
    folder = Path(out) if out else Path("runs") / "late_fusion" / safe_name(f"{set_name}-{method or 'alone'}")
    if any(source.resolve() == (folder / "detections.json").resolve() for source in sources):
        raise ConfigError(f"{folder}: its detections.json is read, and would be written over; choose another --out")
    make_folder(folder)
    return folder
