"""A localizer is run over a set of images and measured; several ranks share the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from detres.classification.files import ClassifierSettings
from detres.classification.published import locate_classifier
from detres.classification.testing import member_of
from detres.config.classification_schema import ClassificationConfig, ClassificationTrainingConfig
from detres.config.localization_schema import LocalizationConfig
from detres.data.classification.views import ViewBatch, ViewDataset, view_loader
from detres.data.localization.localized import LocalizedImages
from detres.data.problems import Problem
from detres.devices import computing_in
from detres.distributed import broadcast_from_main, gather_to_main
from detres.evaluation.localization import LocalizationEvaluator, Located
from detres.localization.testing import Finder
from detres.reporter import SILENT, Reporter
from detres.tasks.classification.measuring import class_rows, evaluate_members
from detres.tasks.runs.sharing import test_share
from detres.tasks.runs.told_problems import problem_metrics

BestClasses = Mapping[int | str, tuple[int, ...]]
"""Of each image, the labels a classifier takes to be likeliest, best first; an image it could not read has none."""


def measure_localizer(
    finder: Finder,
    config: LocalizationConfig,
    images: LocalizedImages,
    device: torch.device,
    *,
    leave_out: bool,
    best_classes: BestClasses | None = None,
    reporter: Reporter = SILENT,
) -> dict[str, Any] | None:
    """What metrics.json holds of a test over all images; None on every rank but the main one.

    leave_out: images that cannot be decoded; else they are a DataError. best_classes: with them there are top-1 and
    top-5 errors too.
    """
    ids = [images.image_id(i) for i in range(len(images))]
    places = {image_id: i for i, image_id in enumerate(ids)}
    boxes = [images.boxes_of(i) for i in range(len(images))]
    evaluator = LocalizationEvaluator(images.class_names, ids, images.labels, boxes)
    dataset = ViewDataset(images, finder.plans, strict=not leave_out)
    loader = view_loader(dataset, test_share(config), workers=config.data.workers, pin_memory=device.type == "cuda")
    for batch in loader:
        if len(batch):
            true = [int(images.labels[places[image_id]]) for image_id in batch.image_ids]
            for image_id, located in _located(finder, batch, true, best_classes, config, device):
                evaluator.add(image_id, located)
        reporter.progress(len(evaluator))
    evaluator.leave_out(dataset.unreadable())
    states = gather_to_main(evaluator.state())
    if states is None:
        return None
    for state in states:
        evaluator.merge(state)
    unreadable = [str(image_id) for image_id in evaluator.left_out()]
    found = [Problem("image unreadable", image_id, "cannot be decoded; left out") for image_id in unreadable]
    about = {
        "set": images.name,
        "annotations": images.digest(),
        "images_without_boxes": images.without_boxes,
        "unreadable_images": unreadable,
    }
    return evaluator.summarize() | about | problem_metrics([*images.problems, *found])


def classes_of_classifier(
    weights: str, config: LocalizationConfig, images: LocalizedImages, device: torch.device, *, leave_out: bool
) -> tuple[BestClasses, dict[str, Any]]:
    """The five likeliest classes of each image, tested as the classifier's file says; and its own metrics.

    Raises WeightsError where the weights are no classifier's, or its classes are not the set's.
    """
    file = locate_classifier(weights)
    tensors, settings = ClassifierSettings.read(file)
    rows = class_rows(settings.class_names, images.class_names, str(file), images.name)
    model = settings.filled(tensors, str(file))
    data = settings.preprocessing.model_copy(update={"workers": config.data.workers})
    training = ClassificationTrainingConfig(precision=config.training.precision)
    as_tested = ClassificationConfig(data=data, test=settings.test, training=training)
    member = member_of(model.to(device, memory_format=torch.channels_last), data, settings.test, rows)
    evaluator = evaluate_members([member], as_tested, images.images, device, leave_out=leave_out)
    found = None
    if evaluator is not None:
        summary = {key: evaluator.summarize()[key] for key in ("top1_error", "top5_error")}
        found = {ranking.image_id: ranking.labels for ranking in evaluator.rankings()}, summary
    return broadcast_from_main(found)


def _located(
    finder: Finder,
    batch: ViewBatch,
    true: list[int],
    best_classes: BestClasses | None,
    config: LocalizationConfig,
    device: torch.device,
) -> list[tuple[int | str, Located]]:
    """What the finder makes of each image of a batch: a box of its true class, and one of each likely class."""
    guessed = [(best_classes or {}).get(image_id, ()) for image_id in batch.image_ids]
    # An image without a guess is asked for its true class again, which is not looked at.
    most = max(map(len, guessed), default=0)
    asked = [[label, *labels, *[label] * (most - len(labels))] for label, labels in zip(true, guessed, strict=True)]
    with computing_in(config.training.precision, device):
        boxes = finder.best_boxes(batch, torch.tensor(asked), device).numpy()
    return [
        (
            image_id,
            Located(of[0]) if best_classes is None else Located(of[0], labels, of[1 : 1 + len(labels)]),
        )
        for image_id, of, labels in zip(batch.image_ids, boxes, guessed, strict=True)
    ]
