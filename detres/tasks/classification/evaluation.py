"""Measure a classifier, or an ensemble, on a split of some data, and leave the files that interface promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detres.classification.files import PREPROCESSING, ClassifierSettings
from detres.classification.testing import Member, member_of
from detres.config.classification_schema import ClassificationConfig
from detres.config.key_effects import in_evaluation
from detres.config.loading import Layer, read_override, resolve_by
from detres.data.classification.classified import ClassifiedImages
from detres.data.classification.datasets import load_classified
from detres.data.formats.imagenet_classes import imagenet_synsets
from detres.distributed import is_main, local_device, process_group
from detres.errors import ConfigError
from detres.evaluation.classification.files import write_predictions
from detres.evaluation.metric_file import write_metrics
from detres.tasks.classification.measuring import class_rows, evaluate_members, left_out_line, metrics_of
from detres.tasks.classification.models import prepare_classifier
from detres.tasks.runs.assembly import load_once
from detres.tasks.runs.evaluation_places import Asked, config_of_data, default_folder, default_split, file_digest
from detres.tasks.runs.opened_model import OpenedModel
from detres.tasks.runs.output_folders import make_folder, make_room_for
from detres.tasks.runs.told_problems import problem_lines
from detres.words import number_of

HARDEST = 5  # classes and pairs that are shown


@dataclass(frozen=True)
class Contender:
    """One of the weights to be tested together, and the config that they are tested by."""

    file: Path
    tensors: dict[str, Tensor]
    settings: ClassifierSettings
    config: ClassificationConfig


def evaluate_classifier(
    models: Sequence[OpenedModel], asked: Asked, *, predictions: str | Path | None = None
) -> dict[str, Any] | None:
    """The content of metrics.json; None on ranks that are not the main one.

    models: one, or several whose softmaxes are averaged. Each file decides its model, its pixels and its views; the
    precision is that of the config the data come from, which is float32 for a file that lies in no run. Overrides are
    for all of them. asked.out: None is RUN/eval/SET-SPLIT-CHECKPOINT of the first, which of an ensemble ends in how
    many more were tested with it.
    predictions: a file for per-image results, in the form the ImageNet server took; FILE.jsonl is for people.
    """
    where, reporter = local_device(asked.device), asked.reporter
    with process_group(where):
        contenders = find_contenders(models, asked)
        config = contenders[0].config
        split = asked.split or default_split(config)
        images = load_once(lambda: load_classified(config.data, split))
        folder = _made_folder(asked.out, contenders, images.name, split)
        if predictions and is_main():
            make_room_for(Path(predictions))
        members = [_member(contender, images, where) for contender in contenders]
        for contender, member in zip(contenders, members, strict=True):
            reporter.say(f"{contender.file}: {contender.settings.recipe or 'classifier'}; {_described(member)}")
        held = f"{number_of(len(images), 'image')} of {number_of(len(images.class_names), 'class')}"
        reporter.say(f"{images.name}: {held}, in {config.training.precision}")
        for line in problem_lines(images.problems):
            reporter.say(line)
        leave_out = config.data.strict is False
        evaluator = evaluate_members(members, config, images, where, leave_out=leave_out, reporter=reporter)
        if evaluator is None:
            return None
    metrics = metrics_of(evaluator, images) | {
        "split": split,
        "weights": [file_digest(contender.file) for contender in contenders],
        "test": [contender.config.test.model_dump(mode="json") for contender in contenders],
        "precision": config.training.precision,
    }
    # Said before anything is written: no disk that is full takes a figure.
    if unreadable := metrics["unreadable_images"]:
        reporter.say(f"warning: {left_out_line(images.name, unreadable)}")
    for line in metric_lines(metrics):
        reporter.say(line)
    write_metrics(folder, metrics)
    if predictions:
        names = images.class_names
        written = write_predictions(Path(predictions), evaluator.rankings(), names, numbers=server_numbers(names))
        reporter.say(f"predictions: {written[0]} and {written[1]}")
    reporter.say(f"written to {folder}")
    return metrics


def find_contenders(models: Sequence[OpenedModel], asked: Asked) -> list[Contender]:
    """The weights read, each with its config; the first's run says what to test on where nobody else does."""
    first = models[0].path
    base = _classification(config_of_data(first, asked, ClassificationConfig()), asked.cfg or str(first))
    return [
        Contender(
            model.path,
            model.tensors(),
            model.settings,
            evaluation_config(model.settings, str(model.path), base, asked.layers, asked.overrides),
        )
        for model in models
    ]


def evaluation_config(
    settings: ClassifierSettings,
    where: str,
    base: ClassificationConfig,
    layers: Sequence[Layer],
    overrides: Sequence[str],
) -> ClassificationConfig:
    """Model, preprocessing and test settings of the file, the data of whoever names them, and the overrides.

    Raises ConfigError where these give its outputs other names, and for an override that changes nothing.
    """
    own = {
        "task": "classification",
        "model": settings.model.model_dump(mode="json"),
        "data": settings.preprocessing.model_dump(mode="json", include=set(PREPROCESSING)),
        "test": settings.test.model_dump(mode="json"),
        "training": {"compile": False},
    }
    layered = [Layer("config", base.model_dump(mode="json"), trusted=True), *layers, Layer(where, own)]
    stated = [*layered, *(read_override(text) for text in overrides)]
    config = resolve_by(ClassificationConfig, stated, use=in_evaluation("classification"))
    if config.model.class_names != settings.model.class_names:
        raise ConfigError(
            f"model.class_names: {where} names its classes itself; leave them out, or select those of the images with "
            "data.classes"
        )
    return config


def metric_lines(metrics: dict[str, Any]) -> list[str]:
    """Errors in per cent, undefined as a dash; the pairs taken for each other most often; the hardest classes."""
    lines = [
        f"top-1 error {_percent(metrics['top1_error'])} %   top-5 error {_percent(metrics['top5_error'])} %   "
        f"of {metrics['images']} images"
    ]
    for pair in metrics["confusions"][:HARDEST]:
        share = f"{_percent(pair['share'])} % ({pair['count']})"
        lines.append(f"  {share} of {pair['label']} taken for {pair['taken_for']}")
    errors = {name: row["top1_error"] for name, row in metrics["per_class"].items() if row["top1_error"]}
    hardest = sorted(errors, key=lambda name: -errors[name])[:HARDEST]
    if hardest:
        lines.append("hardest: " + ", ".join(f"{name} {_percent(errors[name]).strip()} %" for name in hardest))
    return lines


def _made_folder(out: str | Path | None, contenders: Sequence[Contender], set_name: str, split: str) -> Path:
    folder = Path(out) if out else default_folder(contenders[0].file, set_name, split, others=len(contenders) - 1)
    return make_folder(folder) if is_main() else folder


def server_numbers(class_names: Sequence[str]) -> list[int] | None:
    """Of each class, as ImageNet's server counts them; None where there are others than ImageNet's."""
    numbers = {synset.name: synset.devkit_id for synset in imagenet_synsets()}
    return [numbers[name] for name in class_names] if numbers.keys() >= set(class_names) else None


def _member(contender: Contender, images: ClassifiedImages, device: torch.device) -> Member:
    where, config = str(contender.file), contender.config
    rows = class_rows(contender.settings.class_names, images.class_names, where, images.name)
    model = contender.settings.with_model(config.model, where).filled(contender.tensors, where)
    return member_of(prepare_classifier(model, config, device), config.data, config.test, rows)


def _described(member: Member) -> str:
    plan = member.plan
    views = {"centre": f"the centre {plan.crop}", "five": f"five crops of {plan.crop}", "whole": "dense"}[plan.crops]
    sides = f" at shorter sides {', '.join(map(str, plan.shorter_sides))}" if plan.shorter_sides else " as they are"
    return f"{views}{sides}{', and mirrors' if member.mirrors else ''}"


def _classification(config: Any, where: str) -> ClassificationConfig:
    if not isinstance(config, ClassificationConfig):
        raise ConfigError(f"{where}: its config is of {config.task}; eval_cls takes one of classification")
    return config


def _percent(value: float | None) -> str:
    return "     –" if value is None else f"{100 * value:6.2f}"
