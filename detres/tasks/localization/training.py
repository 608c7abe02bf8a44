"""What a localization config contributes to a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from numbers import Number
from typing import Any

import torch

from detres.config.localization_schema import LocalizationConfig
from detres.data.classification.crops import Cropping, ScaleCropping
from detres.data.localization.datasets import load_localized
from detres.data.localization.loaders import (
    LocalizationDataset,
    ObjectOfProposal,
    VisibleObjects,
    localization_training_loader,
)
from detres.data.localization.localized import LocalizedImages
from detres.data.places import SplitName
from detres.distributed import share_buffers
from detres.errors import DataError
from detres.localization.files import settings_of
from detres.localization.testing import Finder
from detres.reporter import SILENT, Reporter
from detres.structures import LocalizationBatch
from detres.tables import LOCALIZATION_FORMATS
from detres.tasks.localization.measuring import measure_localizer
from detres.tasks.localization.models import (
    finder_of,
    localizer_from_weights,
    localizer_of_checkpoint,
    localizer_of_config,
    prepare_localizer,
    proposing_model,
    say_loaded,
)
from detres.tasks.localization.proposals import CroppingOfProposals, training_proposals
from detres.tasks.runs.assembly import load_once
from detres.tasks.runs.class_names import agreed_class_names
from detres.tasks.runs.parts import Start, Training, TrainingParts
from detres.tasks.runs.same_data import SameData
from detres.tasks.runs.sharing import training_share
from detres.tasks.runs.told_problems import problem_lines
from detres.training.running import Evaluate
from detres.words import number_of


def localization_parts(
    config: LocalizationConfig, images: LocalizedImages, start: Start, device: torch.device, reporter: Reporter
) -> TrainingParts:
    """The localizer, its batches and its evaluation. Raises UserError."""
    same = SameData(start, config.training.allow_other_images, reporter)
    same.check_classes(images)
    same.check_images("train", images)
    names = agreed_class_names(config, images.class_names, LOCALIZATION_FORMATS)
    model = start.begin(
        of_checkpoint=lambda file: localizer_of_checkpoint(config, file),
        of_weights=lambda weights: localizer_from_weights(config, names, weights, reporter),
        of_config=lambda: say_loaded(localizer_of_config(config, names), reporter),
    )
    settings = settings_of(model, config.model, config.data, config.test, config.recipe)
    model = prepare_localizer(model, config, device)
    rpn, rpn_file = proposing_model(config, names) if config.model.stage == "rcnn" else (None, None)
    finder = finder_of(model, config, device, rpn)
    if rpn_file is None:
        cropping_of: Any = SameCropping(ScaleCropping(config.data.crop, config.data.shortest_side))
    else:
        proposals = training_proposals(finder, rpn_file, config, images, device, reporter)
        cropping_of = CroppingOfProposals(config.data.crop, proposals)
    dataset = LocalizationDataset(
        images,
        cropping_of,
        target_of(config),
        flip=config.data.flip,
        seed=config.training.seed,
        strict=bool(config.data.strict),
    )
    batches, accumulate = training_batches(config, dataset, device)
    evaluate = _evaluator(finder, model, config, device, reporter, same)
    return TrainingParts(
        model=model,
        metadata=settings.to_metadata() | same.to_metadata(),
        batches=batches,
        accumulate=accumulate,
        evaluate=evaluate,
        warnings=lambda: [str(problem) for problem in dataset.undecodable()],
        best_counts=same.best_counts,
    )


@dataclass(frozen=True)
class SameCropping:
    """Every image is cropped in one way: an object, because workers that are started afresh must be sent it."""

    cropping: Cropping

    def __call__(self, index: int) -> Cropping:
        return self.cropping


def target_of(config: LocalizationConfig) -> VisibleObjects | ObjectOfProposal:
    """What is learned from a crop, by the stage."""
    if config.model.stage == "rpn":
        return VisibleObjects(config.data.visible)
    return ObjectOfProposal(config.model.rcnn.positive_iou)


def training_batches(
    config: LocalizationConfig, dataset: LocalizationDataset, device: torch.device
) -> tuple[Callable[[int], Iterator[LocalizationBatch]], int]:
    """From a step to this rank's endless micro-batches, and how many of them make a step."""
    share, accumulate = training_share(config)

    def batches(step: int) -> Iterator[LocalizationBatch]:
        loader = localization_training_loader(
            dataset,
            replace(share, start_step=step),
            workers=config.data.workers,
            pin_memory=device.type == "cuda",
        )
        return iter(loader)

    return batches, accumulate


def load_training_images(config: LocalizationConfig, reporter: Reporter = SILENT) -> LocalizedImages:
    """The training images that have boxes, what is wrong with the others said once."""
    images = load_once(lambda: load_localized(config.data, "train"))
    say_images(images, reporter)
    return images


def say_images(images: LocalizedImages, reporter: Reporter) -> None:
    """How many there are, how many had to be left out, and what is wrong with them."""
    classes = len(images.class_names)
    reporter.say(
        f"{images.name}: {number_of(len(images), 'image')}, {number_of(len(images.boxes), 'box')} of {classes} classes"
    )
    if images.without_boxes:
        reporter.say(f"{images.name}: {images.without_boxes} images have no box and are left out")
    for line in problem_lines(images.problems):
        reporter.say(line)


def _evaluator(
    finder: Finder,
    model: torch.nn.Module,
    config: LocalizationConfig,
    device: torch.device,
    reporter: Reporter,
    same: SameData,
) -> Evaluate | None:
    """Measures, the true class given, on val, or on test where there is no val; None where there is neither."""
    split: SplitName | None = "val" if config.data.val else "test" if config.data.test else None
    if split is None:
        return None
    images = load_localized(config.data, split)
    if images.class_names != finder.rpn.class_names:
        raise DataError(f"{images.name}: its classes are not those of the training set; name them with data.classes")
    for line in problem_lines(images.problems):
        reporter.say(line)
    same.check_images(split, images)
    if split == "test" and config.training.eval_every:
        reporter.say(f"warning: there is no val split, so the best checkpoint is chosen on {images.name}")

    def evaluate(step: int) -> dict[str, Any] | None:
        share_buffers(model)
        model.eval()
        measured = measure_localizer(finder, config, images, device, leave_out=not config.data.strict)
        # A line of metrics.jsonl holds figures; eval_det tells the classes apart.
        return None if measured is None else {k: v for k, v in measured.items() if v is None or isinstance(v, Number)}

    return evaluate


LOCALIZATION = Training(load_training_images, localization_parts)
