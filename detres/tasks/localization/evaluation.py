"""Measure a localizer on a split of some data, and leave metrics.json."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detres.config.key_effects import in_evaluation
from detres.config.loading import Layer, read_override, resolve_by
from detres.config.localization_schema import LocalizationConfig
from detres.config.losses import without_own_losses
from detres.data.localization.datasets import load_localized
from detres.data.localization.localized import LocalizedImages
from detres.distributed import is_main, local_device, process_group
from detres.errors import ConfigError, WeightsError
from detres.evaluation.metric_file import write_metrics
from detres.localization.files import PREPROCESSING, LocalizerSettings
from detres.tasks.localization.measuring import classes_of_classifier, measure_localizer
from detres.tasks.localization.models import finder_of, prepare_localizer, proposing_model
from detres.tasks.localization.training import say_images
from detres.tasks.runs.assembly import load_once
from detres.tasks.runs.evaluation_places import Asked, config_of_data, default_folder, default_split, file_digest
from detres.tasks.runs.opened_model import OpenedModel
from detres.tasks.runs.output_folders import make_folder

HARDEST = 5  # classes that are shown


def evaluate_localizer(models: Sequence[OpenedModel], asked: Asked) -> dict[str, Any] | None:
    """The content of metrics.json; None on ranks that are not the main one.

    models: one, whose file decides the model and how it is tested. With test.classifier there are errors of (class,
    box) pairs, too. Raises UserError.
    """
    where, reporter = local_device(asked.device), asked.reporter
    with process_group(where):
        opened = _one_of(models)
        file, settings = opened.path, opened.settings
        model = settings.filled(opened.tensors(), str(file)).eval()
        config = evaluation_config(settings, file, asked)
        split = asked.split or default_split(config)
        images = load_once(lambda: load_localized(config.data, split))
        _check_classes(settings, images, str(file))
        folder = Path(asked.out) if asked.out else default_folder(file, images.name, split)
        if is_main():
            make_folder(folder)
        rpn = proposing_model(config, model.class_names)[0] if config.model.stage == "rcnn" else None
        finder = finder_of(prepare_localizer(model, config, where).eval(), config, where, rpn)
        say_images(images, reporter)
        views = "the centre crop" if config.test.crops == 1 else "dense"
        reporter.say(f"{file}: {settings.recipe or 'localizer'}; {views} at shorter sides {list(config.test.scales)}")
        classes, own, leave_out = None, None, config.data.strict is False
        if config.test.classifier is not None:
            classes, own = classes_of_classifier(config.test.classifier, config, images, where, leave_out=leave_out)
        measured = measure_localizer(
            finder, config, images, where, leave_out=leave_out, best_classes=classes, reporter=reporter
        )
        if measured is None:
            return None
    test = config.test.model_dump(mode="json")
    measured |= {"split": split, "weights": file_digest(file), "test": test, "classifier": own}
    # Said before anything is written: no disk that is full takes a figure.
    if unreadable := measured["unreadable_images"]:
        reporter.say(
            f"warning: {len(unreadable)} images could not be read and are left out: {', '.join(unreadable[:5])}"
        )
    for line in metric_lines(measured):
        reporter.say(line)
    write_metrics(folder, measured)
    reporter.say(f"written to {folder}")
    return measured


def evaluation_config(settings: LocalizerSettings, file: Path, asked: Asked) -> LocalizationConfig:
    """Model, preprocessing and test settings of the file, the data of whoever names them, and the overrides.

    Raises ConfigError for an override that changes nothing of an evaluation.
    """
    base = config_of_data(file, asked, LocalizationConfig())
    if not isinstance(base, LocalizationConfig):
        raise ConfigError(
            f"--cfg {asked.cfg}: a {base.task} config, and {file} is a localizer; name one of localization"
        )
    own = {
        "task": "localization",
        "model": without_own_losses(settings.model).model_dump(mode="json"),
        "data": settings.preprocessing.model_dump(mode="json", include=set(PREPROCESSING)),
        "test": settings.test.model_dump(mode="json"),
        "training": {"compile": False},
    }
    layered = [Layer("config", base.model_dump(mode="json"), trusted=True), *asked.layers, Layer(str(file), own)]
    stated = [*layered, *(read_override(text) for text in asked.overrides)]
    return resolve_by(LocalizationConfig, stated, use=in_evaluation("localization"))


def metric_lines(metrics: dict[str, Any]) -> list[str]:
    """Errors in per cent; those of pairs where there was a classifier; the hardest classes."""
    true_class = _percent(metrics["true_class_error"])
    lines = [f"localization error on the true class {true_class} %   of {metrics['images']} images"]
    if metrics["top5_error"] is not None:
        lines.append(
            f"localization error, top-5 {_percent(metrics['top5_error'])} %   top-1 {_percent(metrics['top1_error'])} %"
            f"   (the class alone, top-5 {_percent(metrics['class_top5_error'])} %)"
        )
    errors = {name: row["true_class_error"] for name, row in metrics["per_class"].items() if row["true_class_error"]}
    hardest = sorted(errors, key=lambda name: -errors[name])[:HARDEST]
    if hardest:
        lines.append("hardest: " + ", ".join(f"{name} {_percent(errors[name]).strip()} %" for name in hardest))
    return lines


def _one_of(models: Sequence[OpenedModel]) -> OpenedModel:
    if len(models) > 1:
        raise ConfigError(f"--weights {models[0].path} --weights {models[1].path}: localizers are tested one at a time")
    return models[0]


def _check_classes(settings: LocalizerSettings, images: LocalizedImages, where: str) -> None:
    if settings.class_names != images.class_names:
        ours, theirs = settings.class_names, images.class_names
        raise WeightsError(
            f"{where}: a localizer of {len(ours)} classes ({', '.join(ours[:5])} …), and {images.name} has "
            f"{len(theirs)} ({', '.join(theirs[:5])} …), or in another order; select and order them with data.classes"
        )


def _percent(value: float | None) -> str:
    return "     –" if value is None else f"{100 * value:6.2f}"
