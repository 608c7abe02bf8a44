"""Where an experiment's classifier comes from: its config, another classifier's weights, or its own checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from detres.classification.classifier import Classifier, Lessons, build_classifier
from detres.classification.files import ClassifierSettings, stated_pixel_stats
from detres.classification.losses import build_loss
from detres.classification.mixing import Mixing
from detres.classification.transfer import transfer_classifier
from detres.config.classification_schema import ClassificationConfig
from detres.data.images.colours import add_lighting
from detres.reporter import SILENT, Reporter
from detres.tasks.runs.assembly import memory_format_of, seeded
from detres.tasks.runs.opened_model import OpenedModel, open_model


def classifier_of_config(config: ClassificationConfig, class_names: Sequence[str]) -> Classifier:
    """The config's classifier, its backbone's weights loaded, the rest drawn from training.seed.

    load_report says what was loaded.
    """
    section = config.model.backbone
    options = section.model_dump(exclude={"name"}) | {
        "drop_path": config.model.drop_path,
        "checkpoint_blocks": config.model.checkpoint_blocks,
    }
    with seeded(config):
        model = build_classifier(section.name, num_classes=len(class_names), **options)
    model.pixel_stats = stated_pixel_stats(config.model, model.pixel_stats)
    return model


def classifier_from_weights(
    config: ClassificationConfig,
    class_names: Sequence[str],
    weights: str | Path | OpenedModel,
    reporter: Reporter = SILENT,
) -> Classifier:
    """A classifier of the weights' model, with other classes: their rows are matched by name, the rest start anew."""
    opened = open_model(weights, "classification")
    path, tensors, settings = opened.path, opened.tensors(), opened.settings
    named = config.model.model_copy(update={"class_names": tuple(class_names)})
    with seeded(config):
        model = settings.with_model(named, str(path)).build(str(path))
    for line in transfer_classifier(model, class_names, tensors, settings, str(path)).lines():
        reporter.say(line)
    return model


def classifier_of_checkpoint(file: Path) -> Classifier:
    """The model a checkpoint describes, weights not loaded yet; what it was begun from need not be there any more."""
    return ClassifierSettings.read(file)[1].build(str(file))


def lessons_of(config: ClassificationConfig, num_classes: int) -> Lessons:
    """What the config does to a batch on the device, and how it judges the answer."""
    loss, lighting = config.loss, config.data.pca_lighting
    mixing = None
    if loss.mixup or loss.cutmix:
        # What a threshold makes of shares is smoothed by the loss.
        smoothing = loss.smoothing if loss.target_threshold is None else 0.0
        mixing = Mixing(num_classes, mixup=loss.mixup, cutmix=loss.cutmix, smoothing=smoothing)
    return Lessons(
        loss=build_loss(loss.name, smoothing=loss.smoothing, target_threshold=loss.target_threshold),
        colours=partial(add_lighting, std=lighting) if lighting else None,
        mixing=mixing,
    )


def prepare_classifier(model: Classifier, config: ClassificationConfig, device: torch.device) -> Classifier:
    """The model on its device, in the layout and compiled form the config asks for; its names do not change."""
    layout = memory_format_of(config)
    model = model.to(device).to(memory_format=layout)
    model.memory_format = layout
    if config.training.compile:
        # Not forward: it takes a batch whose ids differ each time, and would be compiled anew for each.
        # "reduce-overhead" is torch's name for CUDA graphs; elsewhere than on a GPU it means nothing.
        mode = "reduce-overhead" if config.training.cuda_graphs else None
        model.logits = torch.compile(model.logits, mode=mode)  # type: ignore[method-assign]  # of this model alone
    return model


def say_loaded(model: Classifier, reporter: Reporter) -> Classifier:
    """What became of the backbone's weights; the model."""
    if model.load_report is not None:
        for line in model.load_report.lines():
            reporter.say(line)
    else:
        norms = ", ".join(f"{stage} {norm}" for stage, norm in model.norms.items())
        reporter.say(f"backbone: random weights; norms: {norms or 'none'}")
    return model
