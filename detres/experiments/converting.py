"""Weights of other projects become detres's safetensors: a detector a detector, a network a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from safetensors.torch import save_file
from torch import Tensor

from detres.backbones import build_backbone
from detres.backbones.metadata import WeightsMetadata
from detres.backbones.weight_files import read_tensors, read_weights, write_weights
from detres.detection import torchvision_weights
from detres.detection.building import assemble
from detres.detection.detector_files import load_strictly, settings_of
from detres.errors import WeightsError
from detres.structures import IMAGENET_STATS

Source = Literal["torchvision", "timm", "msra"]


def convert(
    source: Source,
    path: Path,
    out: Path,
    *,
    norm_eps: float | None = None,
    classes: Path | None = None,
    architecture: str | None = None,
) -> list[str]:
    """Write `out`; returns what there is to tell. Raises WeightsError where the file is not what it is said to be."""
    if out.suffix != ".safetensors":
        raise WeightsError(f"{out}: detres writes safetensors; name the output something.safetensors")
    tensors = read_tensors(path)
    if source == "torchvision" and torchvision_weights.is_torchvision_detector(list(tensors)):
        return _convert_detector(path, tensors, out, norm_eps, classes)
    return _convert_backbone(source, path, out, architecture, norm_eps)


def _convert_detector(
    path: Path, tensors: dict[str, Tensor], out: Path, norm_eps: float | None, classes: Path | None
) -> list[str]:
    guess, reason = torchvision_weights.guess_norm_eps(tensors)
    told = [f"norm eps {guess:g}: {reason} (--bn-eps sets another)"] if norm_eps is None else []
    names = [line.strip() for line in classes.read_text().splitlines() if line.strip()] if classes else None
    model_config = torchvision_weights.model_settings(tensors, names, norm_eps=guess if norm_eps is None else norm_eps)
    section = model_config.backbone
    backbone = build_backbone(section.name, stride_in="3x3", norm=section.norm, norm_eps=section.norm_eps)
    test = torchvision_weights.test_settings()
    model = assemble(backbone, model_config, test)
    load_strictly(model, torchvision_weights.convert_state_dict(tensors), str(path))
    settings = settings_of(model, model_config, torchvision_weights.data_settings(), test, f"torchvision {path.name}")
    out.parent.mkdir(parents=True, exist_ok=True)
    contiguous = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    save_file(contiguous, out, settings.to_metadata())
    kind = "fasterrcnn_resnet50_fpn_v2" if section.norm == "batch" else "fasterrcnn_resnet50_fpn"
    return [*told, f"{path}: {kind}, {len(model.class_names)} classes, {len(contiguous)} tensors -> {out}"]


def _convert_backbone(
    source: Source, path: Path, out: Path, architecture: str | None, norm_eps: float | None
) -> list[str]:
    metadata = None
    if architecture is not None and source != "msra":
        metadata = WeightsMetadata(
            architecture,
            IMAGENET_STATS,
            norm_eps=1e-5 if norm_eps is None else norm_eps,
            recipe=f"{source} {path.name}",
        )
    file = read_weights(path, metadata=metadata)
    write_weights(out, file.tensors, file.metadata)
    known = file.metadata
    return [
        f"{path}: {known.architecture}, stride in the {known.stride_in}, {known.pixel_stats.order} pixels, "
        f"{len(file.tensors)} tensors -> {out}"
    ]
