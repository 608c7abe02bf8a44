"""COCO's average precision of a large set: detres's evaluator against pycocotools.

I images, G objects, D detections.
"""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detres.benchmarks.contenders import Contender
from detres.benchmarks.machine import Machine
from detres.benchmarks.memory import peak_of_process
from detres.benchmarks.rows import Check, Row
from detres.benchmarks.timing import Plan, alternate
from detres.evaluation.coco_ap import coco_metrics
from detres.evaluation.detection_evaluator import DetectionEvaluator
from detres.structures import Detections

TARGET = 6.0
_TOLERANCE = 1e-9
_HEIGHT, _WIDTH = 480, 640
# Order of pycocotools' stats.
_STATS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100")


@dataclass(frozen=True)
class Results:
    """A set and what was found on it. objects, detections: an image, on average and exactly."""

    images: int = 5000
    objects: int = 7
    detections: int = 100
    classes: int = 80

    @property
    def work(self) -> str:
        return f"{self.images} images, {self.images * self.detections} detections, {self.classes} classes"

    def ground_truth(self) -> dict[str, Any]:
        """COCO's instances layout; some objects are crowds."""
        draws = np.random.default_rng(0)
        count = self.images * self.objects
        image, boxes = draws.integers(self.images, size=count), self._boxes(draws, count)
        label, crowd = draws.integers(self.classes, size=count), draws.random(count) < 0.02
        columns = (image.tolist(), label.tolist(), boxes.tolist(), crowd.tolist())
        return {
            "images": [{"id": n, "height": _HEIGHT, "width": _WIDTH} for n in range(self.images)],
            "categories": [{"id": n + 1, "name": f"class {n}"} for n in range(self.classes)],
            "annotations": [
                {"id": n, "image_id": i, "category_id": c + 1, "bbox": b, "area": b[2] * b[3], "iscrowd": int(crowd)}
                for n, (i, c, b, crowd) in enumerate(zip(*columns, strict=True), start=1)
            ],
        }

    def detected(self, ground_truth: dict[str, Any]) -> list[Detections]:
        """On each image its objects, moved a little, and false alarms up to the number."""
        draws = np.random.default_rng(1)
        of_image: list[list[dict[str, Any]]] = [[] for _ in range(self.images)]
        for annotation in ground_truth["annotations"]:
            of_image[annotation["image_id"]].append(annotation)
        found = []
        for here in of_image:
            true = here[: self.detections]
            boxes, labels = self._boxes(draws, self.detections), draws.integers(self.classes, size=self.detections)
            if true:
                moved = draws.normal(1.0, 0.1, (len(true), 4))
                boxes[: len(true)] = np.array([a["bbox"] for a in true]) * moved
                labels[: len(true)] = [a["category_id"] - 1 for a in true]
            scores = draws.random(self.detections) * np.where(np.arange(self.detections) < len(true), 1.0, 0.6)
            corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
            order = np.argsort(-scores, kind="stable")
            of_boxes, of_scores, of_labels = (
                torch.from_numpy(values[order])
                for values in (corners.astype(np.float32), scores.astype(np.float32), labels)
            )
            found.append(Detections(of_boxes, of_scores, of_labels, (_HEIGHT, _WIDTH)))
        return found

    @staticmethod
    def _boxes(draws: np.random.Generator, count: int) -> NDArray[np.float64]:
        """x, y, width, height, from a few pixels to most of the image."""
        sides = np.array([_WIDTH, _HEIGHT])
        size = 10 ** draws.uniform(-1.7, -0.1, (count, 2)) * sides
        return np.concatenate([draws.random((count, 2)) * (sides - size), size], axis=1)


def measure_evaluation(machine: Machine, results: Results, plan: Plan) -> list[Row]:
    """The rows eval/coco and eval/coco/memory."""
    makers = {"ours": partial(make_ours, results), "pycocotools": partial(make_theirs, results)}
    contenders = {name: make() for name, make in makers.items()}
    found: dict[str, dict[str, float]] = {}

    def kept(name: str) -> None:
        found[name] = contenders[name]()

    times = alternate({name: partial(kept, name) for name in contenders}, torch.device("cpu"), plan)
    check = same_metrics(found["ours"], found["pycocotools"])
    seconds = {name: float(np.median(values)) for name, values in times.items()}
    rows = [
        Row(
            "eval/coco",
            seconds["ours"],
            seconds["pycocotools"],
            "s",
            "pycocotools",
            results.work,
            target=TARGET,
            rounds=len(times["ours"]),
            check=check,
        )
    ]
    if plan.memory:
        ours, theirs = (peak_of_process(makers[name], machine.threads) for name in ("ours", "pycocotools"))
        rows.append(Row("eval/coco/memory", ours, theirs, "MiB", "pycocotools", results.work, target=1.0))
    return rows


def make_ours(results: Results) -> Contender:
    """From what the evaluator collected to the numbers."""
    truth = results.ground_truth()
    evaluator = DetectionEvaluator(truth, [category["name"] for category in truth["categories"]])
    for image_id, detections in enumerate(results.detected(truth)):
        evaluator.add(image_id, detections)
    return Contender(lambda: coco_metrics(truth, evaluator.flat()))


def make_theirs(results: Results) -> Contender:
    """From a list in COCO's results format to the numbers, as everybody calls it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = results.ground_truth()
    collected = DetectionEvaluator(truth, [category["name"] for category in truth["categories"]])
    for image_id, detections in enumerate(results.detected(truth)):
        collected.add(image_id, detections)
    listed = collected.results()

    def call() -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()):
            objects = COCO()
            objects.dataset = truth
            objects.createIndex()
            evaluation = COCOeval(objects, objects.loadRes(listed), "bbox")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return dict(zip(_STATS, evaluation.stats.tolist(), strict=False))

    return Contender(call)


def same_metrics(ours: dict[str, Any], theirs: dict[str, float]) -> Check:
    """COCO's nine numbers, to 1e-9. -1 is pycocotools' word for undefined, None ours."""
    gaps = [abs((-1.0 if ours[name] is None else ours[name]) - theirs[name]) for name in _STATS]
    passed = max(gaps) <= _TOLERANCE and theirs["AP"] > 0
    return Check(passed, f"AP {100 * theirs['AP']:.3f} %, all nine numbers within {max(gaps):.1e}")
