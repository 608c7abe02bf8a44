"""A detector is run over a set of images and measured; several ranks share the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detres.config.detection_schema import Config
from detres.data.class_synonyms import same_classes
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.loaders import DetectionDataset
from detres.data.formats.coco.reading import coco_ground_truth
from detres.data.problems import Problem
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.testing.plan import DetectionTest, Member, is_plain
from detres.devices import computing_in
from detres.distributed import gather_to_main
from detres.errors import DataError
from detres.evaluation.detection_evaluator import DetectionEvaluator
from detres.evaluation.detection_files import write_comp4, write_detections, write_ground_truth
from detres.evaluation.metric_file import write_metrics
from detres.evaluation.submissions import write_submission
from detres.precision import Precision
from detres.reporter import SILENT, Reporter
from detres.structures import DetectionBatch, Detections
from detres.tasks.detection.data import evaluation_batches, evaluation_copies, evaluation_set
from detres.tasks.runs.told_problems import problem_metrics


def predict_batches(
    model: FasterRCNN, batches: Iterable[DetectionBatch], device: torch.device, precision: Precision = "float32"
) -> Iterator[tuple[int | str, Detections]]:
    """(image id, detections in pixels of the file) of each image; the model is put into eval mode."""
    model.eval()
    autocast = computing_in(precision, device)
    for batch in batches:
        with autocast:
            found = model.predict(batch.to(device, non_blocking=True))
        for image_id, detections in zip(batch.image_ids, found, strict=True):
            yield image_id, detections.to("cpu")


def predict_set(
    members: Sequence[Member], config: Config, dataset: DetectionDataset, device: torch.device
) -> Iterator[tuple[int | str, Detections]]:
    """(image id, detections) of each image of this rank's share, as config.test says it is tested."""
    precision = config.training.precision
    if is_plain(config.test, len(members)):
        return predict_batches(members[0].model, evaluation_batches(config, dataset, device), device, precision)
    for member in members:
        member.model.eval()
    return _predict_copies(DetectionTest(members, config.test), config, dataset, device)


def _predict_copies(
    test: DetectionTest, config: Config, dataset: DetectionDataset, device: torch.device
) -> Iterator[tuple[int | str, Detections]]:
    autocast = computing_in(config.training.precision, device)
    for copies in evaluation_copies(config, dataset, test.copies, device):
        with autocast:
            found = test([copy.to(device, non_blocking=True) for copy in copies])
        yield copies[0].image_ids[0], found.to("cpu")


@dataclass(frozen=True)
class ClassMap:
    """The model's labels as the set's. labels: (model's K,) int64, -1 for classes the set has not.

    absent: the model's classes that the set has not. renamed: the set's name and the model's, where they differ.
    """

    labels: Tensor
    absent: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...] = ()

    def __call__(self, detections: Detections) -> Detections:
        mapped = self.labels[detections.labels]
        return replace(detections, labels=mapped).select(mapped >= 0)

    def lines(self) -> list[str]:
        """What people should know of it."""
        told = []
        if self.absent:
            shown = ", ".join(self.absent[:10])
            told.append(f"{len(self.absent)} classes of the model are not in the set and left out: {shown}")
        if self.renamed:
            shown = ", ".join(f"{ours} ({theirs})" for ours, theirs in self.renamed)
            told.append(f"{len(self.renamed)} classes of the set have another name in the model: {shown}")
        return told


def map_classes(model_names: tuple[str, ...], set_names: tuple[str, ...]) -> ClassMap:
    """By name, or by the synonyms of data/class_synonyms.py.

    Raises DataError where the set has a class that the model does not know.
    """
    same = same_classes(set_names, model_names)
    unknown = [name for name in set_names if name not in same]
    if unknown:
        raise DataError(
            f"the set has {len(unknown)} classes the model does not know ({', '.join(unknown[:8])}); the model knows "
            f"{', '.join(model_names[:12])}{', …' if len(model_names) > 12 else ''}. "
            "Select common ones with data.classes=[…]"
        )
    place = {same[name]: label for label, name in enumerate(set_names)}
    return ClassMap(
        labels=torch.tensor([place.get(name, -1) for name in model_names]),
        absent=tuple(name for name in model_names if name not in place),
        renamed=tuple((name, other) for name, other in same.items() if name != other),
    )


@dataclass(frozen=True)
class Measured:
    """metrics: as in metrics.json. detections: COCO's results format. ground_truth: COCO's layout.

    undecodable: places in the set of images that turned out so; they are in none of the others. found: what turned out
    to be wrong with images when they were decoded.
    """

    metrics: dict[str, Any]
    detections: list[dict[str, Any]]
    ground_truth: dict[str, Any]
    undecodable: tuple[int, ...] = ()
    found: tuple[Problem, ...] = ()


def measure(
    members: Sequence[Member],
    config: Config,
    images: AnnotatedImages,
    device: torch.device,
    *,
    leave_out: bool,
    reporter: Reporter = SILENT,
) -> Measured | None:
    """Run the detector, or several as one, over all images and sum up; None on every rank but the main one.

    leave_out: images that cannot be decoded, and their objects, count in no figure; else they are a DataError.
    """
    classes = map_classes(members[0].model.class_names, images.class_names)
    ids = [images.image_id(i) for i in range(len(images))]
    evaluator = DetectionEvaluator(coco_ground_truth(images), images.class_names, image_ids=ids)
    dataset = evaluation_set(config, images, strict=not leave_out)
    for image_id, detections in predict_set(members, config, dataset, device):
        evaluator.add(image_id, classes(detections))
        reporter.progress(len(evaluator))
    places = dataset.undecodable_places(), dataset.filled_places()
    states, by_rank = gather_to_main(evaluator.state()), gather_to_main(places)
    if states is None or by_rank is None:
        return None
    for state in states:
        evaluator.merge(state)
    undecodable, filled = (
        sorted({place for of_rank in ranks for place in of_rank}) for ranks in zip(*by_rank, strict=True)
    )
    evaluator.leave_out([ids[place] for place in undecodable])
    found = (*dataset.left_out(undecodable), *dataset.breaking_off(filled))
    problems = (*images.problems, *found)
    metrics = evaluator.summarize() | {"set": images.name, "annotations": images.digest()} | problem_metrics(problems)
    metrics["unreadable_images"] = [images.file_name(place) for place in undecodable]
    return Measured(metrics, evaluator.results(), evaluator.ground_truth, tuple(undecodable), found)


def write_measured(folder: Path, measured: Measured, data_format: str) -> Path | None:
    """metrics.json, detections.json, and what the format is used to: ground_truth.json, comp4 files for VOC.

    Returns the submission to the server of the set, where there is one and nothing of it is annotated here.
    Raises DataError where the detections are none the server takes.
    """
    write_metrics(folder, measured.metrics)
    write_detections(folder, measured.detections)
    if data_format != "coco":
        write_ground_truth(folder, measured.ground_truth)
    if data_format == "voc":
        write_comp4(folder, measured.ground_truth, measured.detections)
    if measured.ground_truth["annotations"]:
        return None
    return write_submission(folder, measured.metrics["set"], measured.ground_truth, measured.detections)
