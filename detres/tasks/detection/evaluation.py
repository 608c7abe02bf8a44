"""Measure the detector of a file or a run on a split of some data, and leave the files that interface promises."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detres.config.detection_schema import Config
from detres.config.key_effects import in_evaluation
from detres.config.loading import AnyConfig, Layer, read_override, resolve_by
from detres.config.losses import without_own_losses
from detres.data.detection.annotations import AnnotatedImages
from detres.data.problems import UNREADABLE
from detres.detection.files import PREPROCESSING, DetectorSettings
from detres.detection.testing.plan import Member, check_classes
from detres.distributed import is_main, local_device, process_group
from detres.errors import ConfigError
from detres.evaluation.detection_files import renaming_lines
from detres.evaluation.submissions import most_per_image
from detres.reporter import Reporter
from detres.tasks.detection.evaluated_sets import load_measured, split_to_measure
from detres.tasks.detection.measuring import Measured, map_classes, measure, write_measured
from detres.tasks.detection.models import prepare_detector
from detres.tasks.detection.reporting import write_report
from detres.tasks.runs.evaluation_places import Asked, config_of_data, default_folder, file_digest
from detres.tasks.runs.opened_model import OpenedModel
from detres.tasks.runs.output_folders import make_folder
from detres.tasks.runs.own_code import stated_code
from detres.words import number_of


def evaluate_detector(models: Sequence[OpenedModel], asked: Asked, *, report: bool = False) -> dict[str, Any] | None:
    """The content of metrics.json; None on ranks that are not the main one.

    The models' files decide the models and how images are fed to them; several are tested as an ensemble, by the first
    one's test settings. The precision is that of the config the data come from, which is float32 for a file that lies
    in no run. report: whether report.html is made, too.
    """
    where, reporter = local_device(asked.device), asked.reporter
    with process_group(where):
        files = [model.path for model in models]
        found = _with_configs(models, asked)
        config = found[0].config
        split = split_to_measure(config, asked.split, reporter)
        images = load_measured(config.data, split, reporter)
        if not len(images.boxes):
            say_unannotated(images, reporter)
            _check_most(images.name, config)
        members = [each.member(where, stated_code(asked.cfg, asked.overrides)) for each in found]
        check_classes(members)
        precision = config.training.precision
        for each in found:
            reporter.say(f"{each.file}: {each.settings.recipe or 'detector'}")
        reporter.say(f"{images.name}: {number_of(len(images), 'image')}, in {precision}")
        for line in map_classes(members[0].model.class_names, images.class_names).lines():
            reporter.say(line)
        for line in renaming_lines(images.class_names) if config.data.format == "voc" else ():
            reporter.say(line)
        folder = Path(asked.out) if asked.out else default_folder(files[0], images.name, split, others=len(files) - 1)
        if is_main():
            make_folder(folder)
        measured = measure(members, config, images, where, leave_out=config.data.strict is False, reporter=reporter)
        if measured is None:
            return None
    digests = [file_digest(file) for file in files]
    measured.metrics.update(
        split=split,
        weights=digests if len(digests) > 1 else digests[0],
        test=config.test.model_dump(mode="json"),
        precision=precision,
    )
    tell_and_write(folder, measured, config.data.format, reporter)
    if report:
        kept = images.subset(np.setdiff1d(np.arange(len(images)), measured.undecodable))
        reporter.say(f"report: {write_report(folder, measured, kept, config, device=where)}")
    return measured.metrics


@dataclass(frozen=True)
class _Weights:
    """A detector's file, and the config it is evaluated by."""

    file: Path
    tensors: dict[str, Tensor]
    settings: DetectorSettings
    config: Config

    def member(self, device: torch.device, own_code: str | None) -> Member:
        """The detector on its device. own_code: the backbone's, where the user names one."""
        where, model_config = str(self.file), self.config.model
        named = self.settings.with_model(model_config, self.config.test, where)
        model = named.filled(self.tensors, where, own_code=own_code)
        return Member(prepare_detector(model.eval(), self.config, device), self.config.data)


def _with_configs(models: Sequence[OpenedModel], asked: Asked) -> list[_Weights]:
    """Each model with its config; whose data are meant is asked once it is known that they are detectors."""
    base = config_of_data(models[0].path, asked, Config())
    return [
        _Weights(
            model.path,
            model.tensors(),
            model.settings,
            evaluation_config(model.settings, model.path, base, asked.layers, asked.overrides),
        )
        for model in models
    ]


def _check_most(set_name: str, config: Config) -> None:
    """Raise ConfigError, before hours of detecting, where more would be found than the set's server takes."""
    most = most_per_image(set_name)
    if most is not None and config.test.max_detections > most:
        raise ConfigError(
            f"test.max_detections={config.test.max_detections}: the server of {set_name} takes {most} of an image; "
            f"set test.max_detections={most}"
        )


def say_unannotated(images: AnnotatedImages, reporter: Reporter) -> None:
    """What becomes of a set without boxes; that images of it are missing shows nowhere else than in its score."""
    reporter.say(f"{images.name}: nothing is annotated, so there is nothing to measure; the detections are written")
    lost = [problem for problem in images.problems if problem.costs_image or problem.kind in UNREADABLE]
    if lost:
        reporter.say(f"warning: {len(lost)} of its images are left out, and a server counts nothing on them: {lost[0]}")


def tell_and_write(folder: Path, measured: Measured, data_format: str, reporter: Reporter) -> None:
    """Say what was measured, then leave the files of an evaluation and say where: no disk that is full takes a figure.

    Raises UserError where the files cannot be written.
    """
    if unreadable := measured.metrics["unreadable_images"]:
        reporter.say(
            f"warning: {len(unreadable)} images could not be decoded and are left out: {', '.join(unreadable[:5])}"
        )
    if broken := measured.metrics["problems"].get("image breaks off"):
        reporter.say(f"warning: {broken} images break off and are filled up; check_data lists them")
    for line in metric_lines(measured.metrics):
        reporter.say(line)
    submission = write_measured(folder, measured, data_format)
    reporter.say(f"written to {folder}" + (f"; for the evaluation server: {submission}" if submission else ""))


def evaluation_config(
    settings: DetectorSettings, file: Path, base: AnyConfig, layers: Sequence[Layer], overrides: Sequence[str]
) -> Config:
    """Model, preprocessing and test settings of the file, the data of base or of layers, and the overrides.

    Raises ConfigError where these give its outputs other names: in another order, they would be measured as such; and
    for an override that changes nothing of an evaluation.
    """
    fed = settings.preprocessing.model_dump(mode="json", include=set(PREPROCESSING))
    own = {
        "model": without_own_losses(settings.model).model_dump(mode="json"),
        "data": fed,
        "test": settings.test.model_dump(mode="json"),
        "training": {"compile": False},
    }
    layered = [Layer("config", base.model_dump(mode="json"), trusted=True), *layers, Layer(str(file), own)]
    config = resolve_by(
        Config, [*layered, *(read_override(text) for text in overrides)], use=in_evaluation("detection")
    )
    if config.model.class_names != settings.model.class_names:
        raise ConfigError(
            f"model.class_names: {file} names its classes itself; leave them out, or select those of the set with "
            "data.classes"
        )
    return config


def metric_lines(metrics: dict[str, Any]) -> list[str]:
    """mAP@0.5 first, in per cent; undefined as a dash; then a row a class."""
    width = max([5, *(len(name) for name in metrics["per_class"])])
    rows = [
        f"mAP@0.5 {_percent(metrics['mAP50'])} (VOC, area)   {_percent(metrics['mAP50_07'])} (VOC 2007, 11 points)   "
        f"{_percent(metrics['AP50'])} (COCO)",
        f"AP {_percent(metrics['AP'])}   AP75 {_percent(metrics['AP75'])}   small {_percent(metrics['APs'])}   "
        f"medium {_percent(metrics['APm'])}   large {_percent(metrics['APl'])}   AR100 {_percent(metrics['AR100'])}",
        f"{'class':<{width}}  mAP@.5     AP",
    ]
    return rows + [
        f"{name:<{width}}  {_percent(row.get('voc_AP50'))}  {_percent(row.get('AP'))}"
        for name, row in metrics["per_class"].items()
    ]


def _percent(value: float | None) -> str:
    return "     –" if value is None else f"{100 * value:6.2f}"
