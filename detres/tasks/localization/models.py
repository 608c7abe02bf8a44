"""Where an experiment's localizer comes from: its config, another localizer's weights, or its own checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import torch

from detres.backbones.building import Choices
from detres.config.localization_schema import LocalizationConfig
from detres.data.classification.views import ViewPlan
from detres.errors import ConfigError, WeightsError
from detres.localization.building import assemble, build_trunk, learn_by
from detres.localization.files import LocalizerSettings, locate_localizer, transfer_localizer
from detres.localization.localizers import ClassRpnLocalizer, Localizer, RcnnLocalizer
from detres.localization.testing import Finder
from detres.reporter import SILENT, Reporter
from detres.tasks.runs.assembly import memory_format_of, seeded
from detres.tasks.runs.opened_model import OpenedModel, open_model

AnyLocalizer = TypeVar("AnyLocalizer", bound=Localizer)


def localizer_of_config(config: LocalizationConfig, class_names: Sequence[str]) -> Localizer:
    """The config's localizer, its trunk's weights loaded, the rest drawn from training.seed."""
    section = config.model.backbone
    options = section.model_dump(exclude={"name"})
    with seeded(config):
        trunk = build_trunk(section.name, Choices(**options, checkpoint_blocks=config.model.checkpoint_blocks))
        return assemble(trunk, config.model, class_names)


def localizer_from_weights(
    config: LocalizationConfig,
    class_names: Sequence[str],
    weights: str | Path | OpenedModel,
    reporter: Reporter = SILENT,
) -> Localizer:
    """A localizer of the weights' model, with other classes: their rows are matched by name, the rest start anew."""
    opened = open_model(weights, "localization")
    path, tensors, settings = opened.path, opened.tensors(), opened.settings
    named = config.model.model_copy(update={"class_names": tuple(class_names)})
    with seeded(config):
        model = settings.with_model(named, str(path)).build(str(path))
    learn_by(model, config.model)
    for line in transfer_localizer(model, tensors, settings, str(path)).lines():
        reporter.say(line)
    return model


def localizer_of_checkpoint(config: LocalizationConfig, file: Path) -> Localizer:
    """The model a checkpoint describes, weights not loaded yet; what it was begun from need not be there any more."""
    model = LocalizerSettings.read(file)[1].build(str(file))
    learn_by(model, config.model)
    return model


def prepare_localizer(model: AnyLocalizer, config: LocalizationConfig, device: torch.device) -> AnyLocalizer:
    """The model on its device, in the layout and compiled form the config asks for; its names do not change."""
    layout = memory_format_of(config)
    model = model.to(device).to(memory_format=layout)
    model.memory_format = layout
    if config.training.compile:
        model.trunk.last_map = torch.compile(model.trunk.last_map)  # type: ignore[method-assign]  # of this model alone
    return model


def proposing_model(config: LocalizationConfig, class_names: Sequence[str]) -> tuple[ClassRpnLocalizer, Path]:
    """The RPN that data.proposals names, in eval mode, and its file.

    Raises ConfigError where nobody names one, WeightsError where it is none or knows other classes.
    """
    if config.data.proposals is None:
        raise ConfigError("model.stage=rcnn needs proposals: data.proposals=RUN, a finished run of model.stage=rpn")
    file = locate_localizer(config.data.proposals)
    model, _ = LocalizerSettings.load(file)
    if not isinstance(model, ClassRpnLocalizer):
        raise WeightsError(f"data.proposals={config.data.proposals}: this is an rcnn; proposals come from an rpn")
    if model.class_names != tuple(class_names):
        raise WeightsError(
            f"data.proposals={config.data.proposals}: an RPN of {len(model.class_names)} classes "
            f"({', '.join(model.class_names[:5])} …), and {len(class_names)} others are learned "
            f"({', '.join(class_names[:5])} …); the classes of both stages must be the same, in one order"
        )
    return model, file


def finder_of(
    model: Localizer, config: LocalizationConfig, device: torch.device, rpn: ClassRpnLocalizer | None = None
) -> Finder:
    """The model as the config tests it. rpn: what proposes for an R-CNN."""
    test, data = config.test, config.data
    plan = ViewPlan("centre" if test.crops == 1 else "whole", data.crop, test.scales)
    rcnn = model if isinstance(model, RcnnLocalizer) else None
    if rcnn is not None:
        if rpn is None:
            raise ValueError("an R-CNN is tested on the proposals of an RPN")
        proposing = prepare_localizer(rpn, config, device).eval()
    else:
        assert isinstance(model, ClassRpnLocalizer), "the only other localizer"
        proposing = model
    pixels_at_once = test.batch * max(data.crop, max(test.scales)) ** 2
    return Finder(
        proposing, plan, rcnn, count=test.proposals, nms=test.nms, side=data.crop, pixels_at_once=pixels_at_once
    )


def say_loaded(model: Localizer, reporter: Reporter) -> Localizer:
    """What became of the trunk's weights; the model."""
    if model.trunk.load_report is not None:
        for line in model.trunk.load_report.lines():
            reporter.say(line)
    else:
        reporter.say("backbone: random weights; norms: " + ", ".join(f"{s} {n}" for s, n in model.trunk.norms.items()))
    return model
