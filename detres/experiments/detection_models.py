"""Where an experiment's detector comes from: its config, another detector's weights, or its own checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from detres.backbones import build_backbone
from detres.backbones.architectures import BACKBONES, VggArchitecture
from detres.backbones.network import Network
from detres.config.schema import Config
from detres.data.classes import COCO_CLASSES, VOC_CLASSES
from detres.data.imagenet_det import det_classes
from detres.data.shape_drawing import SHAPES
from detres.detection.building import assemble, learn_by
from detres.detection.detector_files import DetectorSettings
from detres.detection.faster_rcnn import FasterRCNN
from detres.detection.layouts import outputs_of
from detres.detection.published import locate_detector
from detres.detection.transfer import transfer_detector
from detres.errors import ConfigError
from detres.experiments.assembly import memory_format_of, seeded
from detres.experiments.class_names import agreed_class_names
from detres.experiments.parts import Say

# What a format's own set names, where neither the config nor a data set at hand does.
USUAL_CLASSES = {
    "coco": COCO_CLASSES,
    "voc": VOC_CLASSES,
    "imagenet_det": tuple(det_classes().values()),
    "shapes": SHAPES,
}


def build_detector(config: Config, class_names: Sequence[str] | None = None) -> FasterRCNN:
    """The config's detector, its backbone's weights loaded, the rest drawn from training.seed.

    class_names: the data set's; None: model.class_names, data.classes, or those the format's own set is known for.
    model.backbone.load_report says what was loaded.
    """
    names = agreed_class_names(config, class_names, USUAL_CLASSES)
    layout, section = config.model.layout, config.model.backbone
    options = section.model_dump(exclude={"name", "weights"}, exclude_defaults=True)
    if config.model.output_stride != 32:
        other = _instead_of_dilation(section.name)
        if other is not None:
            raise ConfigError(
                f"model.layout={layout} dilates the last stage of a ResNet, which {section.name} is not; use {other}"
            )
        options["output_stride"] = config.model.output_stride
    with seeded(config):
        outputs = outputs_of(layout, section.name)
        backbone = build_backbone(section.name, weights=section.weights, outputs=outputs, **options)
        return assemble(backbone, config.model.model_copy(update={"class_names": names}), config.test)


def _instead_of_dilation(backbone: str) -> str | None:
    """The layout for a backbone that cannot dilate; None where it can."""
    if backbone.startswith("timm/"):
        return "fpn"
    return "c4" if isinstance(BACKBONES.get(backbone), VggArchitecture) else None


def detector_from_weights(
    config: Config, class_names: Sequence[str], weights: str | Path, say: Say = lambda line: None
) -> FasterRCNN:
    """A detector of the weights' model, with other classes: their rows are matched by name, the rest start anew.

    With global context where the config has it, and the weights need not.
    """
    path = locate_detector(weights)
    tensors, theirs = DetectorSettings.read(path)
    settings = theirs
    if config.model.global_context and not theirs.model.global_context:
        say(f"{path}: trained without global context, whose columns start at zero: it begins as the same detector")
        settings = theirs.gaining_context()
    named = config.model.model_copy(update={"class_names": agreed_class_names(config, class_names, USUAL_CLASSES)})
    with seeded(config):
        # Whoever laid the file's model over the config has asked whose word its code is (experiments/weights.py).
        own_code, changed = config.model.backbone.name, settings.with_model(named, config.test, str(path))
        model = changed.build(str(path), own_code=own_code)
    learn_by(model, config.model)
    for line in transfer_detector(model, tensors, theirs, str(path)).lines():
        say(line)
    return model


def detector_of_checkpoint(config: Config, file: Path) -> FasterRCNN:
    """The model a checkpoint describes, weights not loaded yet; what it was begun from need not be there any more."""
    model = DetectorSettings.read(file)[1].build(str(file), own_code=config.model.backbone.name)
    learn_by(model, config.model)
    return model


def prepare_detector(model: FasterRCNN, config: Config, device: torch.device) -> FasterRCNN:
    """The model on its device, in the layout and compiled form the config asks for; its names do not change."""
    layout = memory_format_of(config)
    model = model.to(device=device, memory_format=layout)
    model.memory_format = layout
    if config.training.compile:
        # In place: a wrapper would put its own prefix before every name of the state dict.
        model.backbone.compile()
        model.neck.compile()
    return model


def say_loaded(model: FasterRCNN, say: Say) -> None:
    """What became of the backbone's weights."""
    report = getattr(model.backbone, "load_report", None)
    if report is not None:
        for line in report.lines():
            say(line)
    elif isinstance(model.backbone, Network):
        norms = ", ".join(f"{stage} {norm}" for stage, norm in model.stage_norms.items())
        say(f"backbone: random weights; norms: {norms or 'none'}")
