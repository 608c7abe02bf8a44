"""What a detection config contributes to a run."""

from __future__ import annotations

from typing import Any

import torch

from detres.config.detection_schema import Config
from detres.data.detection.annotations import AnnotatedImages
from detres.data.detection.datasets import load_dataset
from detres.data.detection.shared_images import shared_images
from detres.data.places import SplitName
from detres.data.problems import Problem
from detres.detection.files import settings_of
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.testing.plan import Member
from detres.distributed import is_main, share_buffers
from detres.errors import ConfigError
from detres.reporter import SILENT, Reporter
from detres.tasks.detection.data import training_batches, training_set
from detres.tasks.detection.evaluated_sets import load_measured
from detres.tasks.detection.logged_pictures import LoggedPictures
from detres.tasks.detection.measuring import map_classes, measure
from detres.tasks.detection.models import build_detector, prepare_detector, say_loaded
from detres.tasks.detection.weights import detector_from_weights, detector_of_checkpoint
from detres.tasks.runs.assembly import load_once
from detres.tasks.runs.parts import Start, Training, TrainingParts
from detres.tasks.runs.same_data import SameData
from detres.tasks.runs.told_problems import problem_lines
from detres.training.running import Evaluate
from detres.words import set_in_words


def detection_parts(
    config: Config, images: AnnotatedImages, start: Start, device: torch.device, reporter: Reporter
) -> TrainingParts:
    """The detector, its batches and its evaluation. Raises UserError."""
    same = SameData(start, config.training.allow_other_images, reporter)
    same.check_classes(images)
    same.check_images("train", images)
    model = start.begin(
        of_checkpoint=lambda file: detector_of_checkpoint(config, file),
        of_weights=lambda weights: detector_from_weights(config, images.class_names, weights, reporter),
        of_config=lambda: say_loaded(build_detector(config, images.class_names), reporter),
    )
    settings = settings_of(model, config.model, config.data, config.test, config.recipe)
    model = prepare_detector(model, config, device)
    dataset = training_set(config, images)
    batches, accumulate = training_batches(config, dataset, device)
    found: dict[Problem, None] = {}
    shown = LoggedPictures(config.training.log_pictures)
    evaluate = _evaluator(model, config, images, device, reporter, found, shown, same)
    return TrainingParts(
        model=model,
        metadata=settings.to_metadata() | same.to_metadata(),
        batches=batches,
        accumulate=accumulate,
        evaluate=evaluate,
        warnings=lambda: list(map(str, (*dataset.undecodable(), *dataset.filled(), *found))),
        best_counts=same.best_counts,
        pictures=shown if config.training.log_pictures else None,
    )


def load_training_images(config: Config, reporter: Reporter = SILENT) -> AnnotatedImages:
    """The training split, what is wrong with it said once."""
    images = load_once(lambda: load_dataset(config.data, "train"))
    reporter.say(f"{images.name}: {set_in_words(len(images), len(images.boxes), len(images.class_names))}")
    for line in problem_lines(images.problems):
        reporter.say(line)
    if not len(images):
        raise ConfigError(f"{images.name}: no images to train on")
    return images


def _evaluator(
    model: FasterRCNN,
    config: Config,
    learned: AnnotatedImages,
    device: torch.device,
    reporter: Reporter,
    found: dict[Problem, None],
    shown: LoggedPictures,
    same: SameData,
) -> Evaluate | None:
    """Measures on val, or on test where there is no val; None where there is neither, or nothing is annotated.

    learned: the images that are trained on, whose problems were said. found: gets what turns out to be wrong with
    images when they are decoded. Those that cannot be are left out: a run of days does not end for one of them, and
    eval_det refuses them. shown: remembers what is drawn of the evaluation.
    """
    data = config.data
    split: SplitName | None = "val" if data.val or data.val_fraction else "test" if data.test else None
    if split is None:
        return None
    is_apart = split == "val" and not data.val
    images = load_measured(data, split, reporter, may_lack=is_apart, told=learned.problems if is_apart else ())
    if not len(images.boxes):
        reporter.say(
            f"{images.name}: nothing is annotated, so it is not evaluated; eval_det writes what its server takes"
        )
        return None
    same.check_images(split, images)
    map_classes(model.class_names, images.class_names)  # A contradiction shows now, not after the training.
    _tell_shared(learned, images, reporter)
    if split == "test" and config.training.eval_every:
        reporter.say(f"warning: there is no val split, so the best checkpoint is chosen on {images.name}")

    def evaluate(step: int) -> dict[str, Any] | None:
        share_buffers(model)
        measured = measure([Member(model, data)], config, images, device, leave_out=not data.strict)
        if measured is None:
            return None
        found.update(dict.fromkeys(measured.found))
        shown.remember(split, images, measured)
        return measured.metrics

    return evaluate


def _tell_shared(learned: AnnotatedImages, images: AnnotatedImages, reporter: Reporter) -> None:
    shared = shared_images(learned, images) if is_main() else []
    if shared:
        what = f"{len(shared)} of the {len(images)} images of {images.name} are trained on as well"
        reporter.say(
            f"warning: {what}, such as {shared[0].file}: {shared[0].detail}; figures of them come out too high"
        )


DETECTION = Training(load_training_images, detection_parts)
