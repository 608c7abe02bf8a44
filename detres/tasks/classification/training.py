"""What a classification config contributes to a run."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

import torch

from detres.classification.classifier import Classifier
from detres.classification.files import settings_of
from detres.classification.hand_off import write_backbone
from detres.classification.testing import member_of
from detres.config.classification_schema import ClassificationConfig
from detres.data.classification.classified import ClassifiedImages
from detres.data.classification.datasets import load_classified, load_training_set
from detres.data.classification.shard_stream import ShardedImages
from detres.data.places import SplitName
from detres.devices import computing_in
from detres.distributed import share_buffers
from detres.errors import ConfigError
from detres.reporter import SILENT, Reporter
from detres.structures import ClassificationBatch
from detres.tables import CLASSIFICATION_FORMATS
from detres.tasks.classification.data import TrainingBatches, training_batches
from detres.tasks.classification.measuring import class_rows, left_out_line, measure_classifier
from detres.tasks.classification.models import (
    classifier_from_weights,
    classifier_of_checkpoint,
    classifier_of_config,
    lessons_of,
    prepare_classifier,
    say_loaded,
)
from detres.tasks.runs.assembly import load_once
from detres.tasks.runs.class_names import agreed_class_names
from detres.tasks.runs.parts import Start, Training, TrainingParts
from detres.tasks.runs.same_data import SameData
from detres.tasks.runs.told_problems import problem_lines
from detres.training.norm_statistics import recompute_norms
from detres.training.running import Evaluate
from detres.words import number_of


def classification_parts(
    config: ClassificationConfig,
    images: ClassifiedImages | ShardedImages,
    start: Start,
    device: torch.device,
    reporter: Reporter,
) -> TrainingParts:
    """The classifier, its batches, its evaluation and its hand-off to a detector. Raises UserError."""
    same = SameData(start, config.training.allow_other_images, reporter)
    same.check_classes(images)
    same.check_images("train", images)
    names = agreed_class_names(config, images.class_names, CLASSIFICATION_FORMATS)
    model = start.begin(
        of_checkpoint=classifier_of_checkpoint,
        of_weights=lambda weights: classifier_from_weights(config, names, weights, reporter),
        of_config=lambda: say_loaded(classifier_of_config(config, names), reporter),
    )
    settings = settings_of(model, config.model, config.data, config.test, class_names=names, recipe=config.recipe)
    model.lessons = lessons_of(config, len(names))
    model = prepare_classifier(model, config, device)
    batches = training_batches(config, images, device)
    test_warnings: list[str] = []
    evaluate = _evaluator(model, names, config, device, reporter, test_warnings, same)
    return TrainingParts(
        model=model,
        metadata=settings.to_metadata() | same.to_metadata(),
        batches=batches.from_step,
        accumulate=batches.accumulate,
        evaluate=evaluate,
        finish=_finisher(model, batches, config, device) if config.training.recompute_norms else None,
        publish=lambda checkpoint: write_backbone(start.run, checkpoint),
        warnings=lambda: [*batches.warnings(), *test_warnings],
        best_counts=same.best_counts,
    )


def load_training_images(config: ClassificationConfig, reporter: Reporter = SILENT) -> ClassifiedImages | ShardedImages:
    """The training split, what is wrong with it said once."""
    images = load_once(lambda: load_training_set(config.data))
    reporter.say(f"{images.name}: {number_of(len(images), 'image')} of {number_of(len(images.class_names), 'class')}")
    for line in problem_lines(images.problems):
        reporter.say(line)
    if not len(images):
        raise ConfigError(f"{images.name}: no images to train on")
    return images


def _evaluator(
    model: Classifier,
    names: tuple[str, ...],
    config: ClassificationConfig,
    device: torch.device,
    reporter: Reporter,
    warnings: list[str],
    same: SameData,
) -> Evaluate | None:
    """Measures on val, or on test where there is no val; None where there is neither, or nobody says what is shown.

    warnings: what the last test found wrong with its images is put there.
    """
    split: SplitName | None = (
        "val" if config.data.val or config.data.val_fraction else "test" if config.data.test else None
    )
    if split is None:
        return None
    images = load_classified(config.data, split)
    if not len(images) or images.labels.max() < 0:
        reporter.say(
            f"{images.name}: its images have no labels, so it is not evaluated; eval_cls writes its predictions"
        )
        return None
    for line in problem_lines(images.problems):
        reporter.say(line)
    same.check_images(split, images)
    # A contradiction shows now, not after the training.
    rows = class_rows(names, images.class_names, "the training set", images.name)
    if split == "test" and config.training.eval_every:
        reporter.say(f"warning: there is no val split, so the best checkpoint is chosen on {images.name}")

    def evaluate(step: int) -> dict[str, Any] | None:
        share_buffers(model)
        members = [member_of(model, config.data, config.test, rows)]
        measured = measure_classifier(members, config, images, device, leave_out=not config.data.strict)
        if measured is None:
            return None
        warnings[:] = [left_out_line(images.name, ids)] if (ids := measured["unreadable_images"]) else []
        # A line of metrics.jsonl holds figures; eval_cls tells the classes apart.
        return {k: v for k, v in measured.items() if v is None or isinstance(v, Number)}

    return evaluate


def _finisher(
    model: Classifier, batches: TrainingBatches, config: ClassificationConfig, device: torch.device
) -> Callable[[], None]:
    """Averages batch norm's statistics over the images that would be learned from next."""
    training = config.training

    def logits(batch: ClassificationBatch) -> torch.Tensor:
        # The method as it was written: a compiled one would not notice that its norms are watched.
        return type(model).logits(model, model.normalize(batch.images))

    def finish() -> None:
        following = (batch.to(device) for batch in batches.from_step(training.steps))
        with computing_in(training.precision, device):
            recompute_norms(model, following, training.recompute_norms, forward=logits)

    return finish


CLASSIFICATION = Training(load_training_images, classification_parts)
