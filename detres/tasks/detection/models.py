"""Where an experiment's detector comes from: its config, another detector's weights, or its own checkpoint."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from detres.backbones import build_backbone
from detres.backbones.architectures import BACKBONES
from detres.backbones.network import Network
from detres.config.detection_schema import Config
from detres.detection.model.building import assemble
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.layouts import outputs_of
from detres.errors import ConfigError
from detres.lookup import find, heeds
from detres.reporter import Reporter
from detres.tables import DETECTION_FORMATS
from detres.tasks.runs.assembly import memory_format_of, seeded
from detres.tasks.runs.class_names import agreed_class_names


def build_detector(config: Config, class_names: Sequence[str] | None = None) -> FasterRCNN:
    """The config's detector, its backbone's weights loaded, the rest drawn from training.seed.

    class_names: the data set's; None: model.class_names, data.classes, or those the format's own set is known for.
    model.backbone.load_report says what was loaded.
    """
    names = agreed_class_names(config, class_names, DETECTION_FORMATS)
    layout, section = config.model.layout, config.model.backbone
    options = section.model_dump(exclude={"name", "weights"}, exclude_defaults=True)
    if config.model.output_stride != 32:
        other = _instead_of_dilation(section.name)
        if other is not None:
            raise ConfigError(
                f"model.layout={layout} dilates the last stage of a ResNet, which {section.name} is not; use {other}"
            )
        options["output_stride"] = config.model.output_stride
    if config.model.checkpoint_blocks:
        options["checkpoint_blocks"] = True
    with seeded(config):
        outputs = outputs_of(layout, section.name)
        backbone = build_backbone(section.name, weights=section.weights, outputs=outputs, **options)
        return assemble(backbone, config.model.model_copy(update={"class_names": names}), config.test)


def _instead_of_dilation(backbone: str) -> str | None:
    """The layout for a backbone that cannot dilate; None where it can."""
    if backbone.startswith("timm/"):
        return "fpn"
    net = BACKBONES.get(backbone)
    return "c4" if net is not None and not heeds(find(net.network), "output_stride") else None


def prepare_detector(model: FasterRCNN, config: Config, device: torch.device) -> FasterRCNN:
    """The model on its device, in the layout and compiled form the config asks for; its names do not change."""
    layout = memory_format_of(config)
    model = model.to(device).to(memory_format=layout)
    model.memory_format = layout
    if config.training.compile:
        # In place: a wrapper would put its own prefix before every name of the state dict.
        model.backbone.compile()
        model.neck.compile()
    return model


def say_loaded(model: FasterRCNN, reporter: Reporter) -> FasterRCNN:
    """What became of the backbone's weights; the model."""
    report = getattr(model.backbone, "load_report", None)
    if report is not None:
        for line in report.lines():
            reporter.say(line)
    elif isinstance(model.backbone, Network):
        norms = ", ".join(f"{stage} {norm}" for stage, norm in model.stage_norms.items())
        reporter.say(f"backbone: random weights; norms: {norms or 'none'}")
    return model
