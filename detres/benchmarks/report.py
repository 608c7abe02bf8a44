"""How long report.html takes beside an evaluation, and how large it is."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from detres.benchmarks.evaluation import Results
from detres.benchmarks.machine import Machine
from detres.benchmarks.rows import Row
from detres.benchmarks.scenes import smooth_picture
from detres.benchmarks.timing import Plan, alternate
from detres.config.detection_schema import Config
from detres.data.detection.annotations import AnnotatedImages
from detres.data.formats.coco.reading import load_coco, write_instances
from detres.evaluation.detection_evaluator import DetectionEvaluator
from detres.tasks.detection.measuring import Measured
from detres.tasks.detection.reporting import write_report

SECONDS, MEGABYTES = 60.0, 20.0
_HEIGHT, _WIDTH = 480, 640


def measure_report(machine: Machine, results: Results, plan: Plan) -> list[Row]:
    """The rows report/seconds and report/size, against what was asked for."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images, measured = write_set(folder, results)
        call = partial(write_report, folder, measured, images, Config())
        seconds = float(np.median(alternate({"ours": call}, torch.device("cpu"), plan)["ours"]))
        size = (folder / "report.html").stat().st_size / 1e6
    asked = "what was asked for"
    return [
        Row("report/seconds", seconds, SECONDS, "s", asked, results.work, target=1.0, rounds=plan.rounds),
        Row("report/size", size, MEGABYTES, "MB", asked, results.work, target=1.0),
    ]


def write_set(folder: Path, results: Results) -> tuple[AnnotatedImages, Measured]:
    """A set on disk, every image the same JPEG, and what was measured on it."""
    truth, found = results.ground_truth(), folder / "0.jpg"
    Image.fromarray(smooth_picture(_HEIGHT, _WIDTH, 0, noise=0.25)).save(found, quality=90)
    for image in truth["images"]:
        image["file_name"] = f"{image['id']}.jpg"
        if image["id"]:
            os.link(found, folder / image["file_name"])
    write_instances(truth, folder / "instances.json")
    images = load_coco(folder, "instances.json")
    evaluator = DetectionEvaluator(truth, images.class_names)
    for image_id, detections in enumerate(results.detected(truth)):
        evaluator.add(image_id, detections)
    return images, Measured(evaluator.summarize() | {"set": images.name}, evaluator.results(), truth)
