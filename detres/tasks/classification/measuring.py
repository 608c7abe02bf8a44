"""Classifiers are run over a set of images and measured; several ranks share the images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from detres.classification.classifier import Classifier
from detres.classification.testing import Member, member_of, plans_of, predict_views
from detres.config.classification_schema import ClassificationConfig
from detres.data.classification.classified import ClassifiedImages
from detres.data.classification.views import ViewDataset, view_loader
from detres.data.problems import Problem
from detres.distributed import gather_to_main
from detres.errors import WeightsError
from detres.evaluation.classification.accuracy import AccuracyEvaluator
from detres.reporter import SILENT, Reporter
from detres.tasks.runs.sharing import test_share
from detres.tasks.runs.told_problems import problem_metrics

Progress = Callable[[int], None]


def measure_classifier(
    models: Classifier | Sequence[Member],
    config: ClassificationConfig,
    images: ClassifiedImages,
    device: torch.device,
    *,
    leave_out: bool,
    reporter: Reporter = SILENT,
) -> dict[str, Any] | None:
    """What metrics.json holds of a test over all images; None on every rank but the main one.

    models: one whose outputs are the set's classes, tested as the config says, or the members of an ensemble; all are
    on the device. leave_out: images that cannot be decoded; else they are a DataError.
    """
    members = [member_of(models, config.data, config.test)] if isinstance(models, Classifier) else models
    evaluator = evaluate_members(members, config, images, device, leave_out=leave_out, reporter=reporter)
    return None if evaluator is None else metrics_of(evaluator, images)


def evaluate_members(
    members: Sequence[Member],
    config: ClassificationConfig,
    images: ClassifiedImages,
    device: torch.device,
    *,
    leave_out: bool,
    reporter: Reporter = SILENT,
) -> AccuracyEvaluator | None:
    """The rankings of all images, on the main rank; None elsewhere. Of the config: data, test.batch and precision.

    leave_out: as of measure_classifier.
    """
    ids = [images.image_id(i) for i in range(len(images))]
    evaluator = AccuracyEvaluator(images.class_names, ids, images.labels)
    dataset = ViewDataset(images, plans_of(members), strict=not leave_out)
    batches = view_loader(
        dataset,
        test_share(config),
        workers=config.data.workers if images.pixels is None else 0,
        pin_memory=device.type == "cuda",
    )
    found = predict_views(
        members,
        batches,
        device,
        precision=config.training.precision,
        pixels_at_once=config.test.batch * (config.test.crop or config.data.crop) ** 2,
    )
    for image_ids, probabilities in found:
        evaluator.add(image_ids, probabilities)
        reporter.progress(len(evaluator))
    evaluator.leave_out(dataset.unreadable())
    states = gather_to_main(evaluator.state())
    if states is None:
        return None
    for state in states:
        evaluator.merge(state)
    return evaluator


def metrics_of(evaluator: AccuracyEvaluator, images: ClassifiedImages) -> dict[str, Any]:
    """The evaluator's summary, the set's name, a hash of its images and labels, and what is wrong with it."""
    unreadable = [str(image_id) for image_id in evaluator.left_out()]
    found = [Problem("image unreadable", image_id, "cannot be decoded; left out") for image_id in unreadable]
    about = {"set": images.name, "annotations": images.digest(), "unreadable_images": unreadable}
    return evaluator.summarize() | about | problem_metrics([*images.problems, *found])


def left_out_line(set_name: str, image_ids: Sequence[str], most: int = 5) -> str:
    """Names images of a set that could not be read; image_ids: at least one."""
    return f"{len(image_ids)} images of {set_name} could not be read and are left out: {_listed(image_ids, most)}"


def class_rows(model_names: Sequence[str], set_names: Sequence[str], where: str, set_name: str) -> Tensor | None:
    """Which of the model's outputs is each of the set's classes, by name; None where they are the same.

    where, set_name: of the weights and the images, for the message.
    Raises WeightsError where the two have not the same classes: an error over other classes is another figure.
    """
    if tuple(model_names) == tuple(set_names):
        return None
    place = {name: row for row, name in enumerate(model_names)}
    unknown = [name for name in set_names if name not in place]
    surplus = sorted(set(model_names) - set(set_names))
    if unknown or surplus:
        lacks = [f"{who} lacks {_listed(names)}" for who, names in (("it", unknown), ("the set", surplus)) if names]
        raise WeightsError(
            f"{where}: a classifier of {len(model_names)} classes, and {set_name} has {len(set_names)}: "
            f"{'; '.join(lacks)}. Select common classes with data.classes, or train on these: train_cls --weights"
        )
    return torch.tensor([place[name] for name in set_names])


def _listed(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
