"""A detector of another project in detres's terms, and how it becomes a file of detres's.

Each project has a module that reads its files into a ConvertedDetector; what is done with one is the same for all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from detres.backbones import build_backbone
from detres.backbones.architectures import BACKBONES, Architecture, StrideIn
from detres.backbones.weights.files import write_tensors
from detres.backbones.weights.metadata import WeightsMetadata
from detres.backbones.weights.model_settings import load_strictly
from detres.config.detection_schema import DataConfig, ModelConfig, TestConfig
from detres.config.loading import Layer
from detres.data.classes import COCO_CLASSES, VOC_CLASSES
from detres.detection.files import settings_of
from detres.detection.model.building import assemble
from detres.detection.model.faster_rcnn import FasterRCNN
from detres.detection.model.layouts import outputs_of
from detres.errors import WeightsError


@dataclass(frozen=True)
class Stated:
    """What a user says of a file that does not say it; None: as the project's own files usually are.

    norm_eps: of the backbone's norms. class_names: without the background. stride_in: of the backbone's bottlenecks.
    config: a file of that project's that says how the weights are built, fed and tested. layers: key=value, as whoever
    converts them writes it; what these say of the other fields is in those as well.
    """

    norm_eps: float | None = None
    class_names: Sequence[str] | None = None
    stride_in: StrideIn | None = None
    config: Path | None = None
    layers: Sequence[Layer] = ()


@dataclass(frozen=True)
class ConvertedDetector:
    """Another project's detector by our names.

    tensors: all of the model's. model: with class_names. preprocessing, test: how that project feeds and tests it.
    backbone: what its weights expect. recipe: for people. told: what was assumed or left out, a line each.
    """

    tensors: Mapping[str, Tensor]
    model: ModelConfig
    preprocessing: DataConfig
    test: TestConfig
    backbone: WeightsMetadata
    recipe: str
    told: tuple[str, ...] = ()


def build_converted(detector: ConvertedDetector, where: str) -> FasterRCNN:
    """The model, with its weights. Raises WeightsError, naming `where`, where they do not fit each other."""
    config = detector.model
    backbone = build_backbone(
        config.backbone.name,
        outputs=outputs_of(config.layout, config.backbone.name),
        output_stride=config.output_stride,
        norm=config.backbone.norm,
        metadata=detector.backbone,
    )
    model = assemble(backbone, config, detector.test)
    load_strictly(model, detector.tensors, where, "the model it describes")
    return model


def write_converted(detector: ConvertedDetector, out: Path, where: str) -> FasterRCNN:
    """Write it as a detector of detres's, whole or not at all; returns the model.

    Raises WeightsError, naming `where`, also for weights whose training has diverged, which detect nothing.
    """
    model = build_converted(detector, where)
    if bad := [name for name, tensor in model.state_dict().items() if not tensor.isfinite().all()]:
        raise WeightsError(
            f"{where}: not finite in {len(bad)} tensors, such as what is {', '.join(bad[:3])} here; its training may "
            "have diverged: convert an earlier checkpoint"
        )
    settings = settings_of(model, detector.model, detector.preprocessing, detector.test, detector.recipe)
    write_tensors(out, model.state_dict(), settings.to_metadata())
    return model


def resnet_of(tensors: Mapping[str, Tensor]) -> str:
    """The ResNet whose blocks these are, by our names; WeightsError where it is none of detres's.

    C4's conv5 lies in the RoI head.
    """
    blocks = {
        (m["stage"] or "4", m["block"])
        for name in tensors
        if (
            m := re.fullmatch(r"(?:backbone\.layer(?P<stage>\d)|roi\.head\.stage)\.(?P<block>\d+)\.conv1\.weight", name)
        )
    }
    depths = tuple(sum(stage == str(number) for stage, _ in blocks) for number in range(1, 5))
    kind = "bottleneck" if "backbone.layer1.0.conv3.weight" in tensors else "basic"
    for name in ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152"):
        net = BACKBONES[name]
        if isinstance(net, Architecture) and (net.block, net.depths) == (kind, depths):
            return name
    raise WeightsError(f"its backbone has {kind} blocks, {depths} in its stages; that is no ResNet of 18 to 152 layers")


def class_names_of(count: int, stated: Sequence[str] | None) -> tuple[tuple[str, ...], str]:
    """Names of so many classes, and where they are from: as stated, COCO's for 80, VOC's for 20, else numbers."""
    if stated is not None:
        if len(stated) != count:
            raise WeightsError(f"{len(stated)} class names for weights with {count} classes beside the background")
        return tuple(stated), "as stated"
    for names, whose in ((COCO_CLASSES, "COCO's"), (VOC_CLASSES, "VOC's")):
        if len(names) == count:
            return names, f"{whose}, since there are {count} (--classes names others)"
    return tuple(f"class {i}" for i in range(count)), "numbered (--classes names them)"
