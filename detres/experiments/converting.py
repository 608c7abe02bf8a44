"""Weights of other projects become detres's safetensors: a detector a detector, a network a backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from torch import Tensor

from detres.backbones import build_backbone
from detres.backbones.metadata import WeightsMetadata
from detres.backbones.weight_files import read_tensors, read_weights, write_weights
from detres.detection.published import convert_detector
from detres.detection.torchvision_weights import guess_norm_eps, is_torchvision_detector
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
    is_detector = source == "torchvision" and is_torchvision_detector(list(tensors))
    _refuse_unused(source, path, is_detector, norm_eps, classes, architecture)
    if is_detector:
        return _convert_detector(path, tensors, out, norm_eps, classes)
    return _convert_backbone(source, path, out, architecture, norm_eps)


def _refuse_unused(
    source: Source,
    path: Path,
    is_detector: bool,
    norm_eps: float | None,
    classes: Path | None,
    architecture: str | None,
) -> None:
    """An option that would do nothing is a misunderstanding."""
    if (source == "msra") != (path.suffix == ".pkl"):
        raise WeightsError(f"--from {source} {path}: the MSRA weights are .pkl files, and nobody else's are")
    unused = {
        "--classes": classes is not None and not is_detector,
        "--architecture": architecture is not None and (is_detector or source == "msra"),
        "--bn-eps": norm_eps is not None and not is_detector and (architecture is None or source == "msra"),
    }
    if named := [option for option, is_unused in unused.items() if is_unused]:
        kind = "a detector" if is_detector else "a backbone that says what it is" if architecture is None else "this"
        raise WeightsError(f"{', '.join(named)}: of no use with {kind} from {source}; leave it out")
    if source == "timm" and architecture is not None and not architecture.startswith("timm/"):
        raise WeightsError(f"--architecture {architecture}: pixel statistics differ; say which of timm's: timm/NAME")


def _convert_detector(
    path: Path, tensors: dict[str, Tensor], out: Path, norm_eps: float | None, classes: Path | None
) -> list[str]:
    told, names = [], None
    if norm_eps is None:
        norm_eps, reason = guess_norm_eps(tensors)
        told.append(f"norm eps {norm_eps:g}: {reason} (--bn-eps sets another)")
    if classes is not None:
        if not classes.is_file():
            raise WeightsError(f"--classes {classes}: no such file; it holds one class name a line")
        names = [line.strip() for line in classes.read_text(encoding="utf-8").splitlines() if line.strip()]
    model = convert_detector(path, tensors, out, norm_eps=norm_eps, class_names=names)
    return [*told, f"{path}: a detector of {len(model.class_names)} classes, {len(tensors)} tensors -> {out}"]


def _convert_backbone(
    source: Source, path: Path, out: Path, architecture: str | None, norm_eps: float | None
) -> list[str]:
    metadata = None
    if architecture is not None and source != "msra":
        eps = 1e-5 if norm_eps is None else norm_eps
        stats = build_backbone(architecture).pixel_stats if source == "timm" else IMAGENET_STATS
        metadata = WeightsMetadata(architecture, stats, norm_eps=eps, recipe=f"{source} {path.name}")
    file = read_weights(path, metadata=metadata)
    write_weights(out, file.tensors, file.metadata)
    known = file.metadata
    return [
        f"{path}: {known.architecture}, stride in the {known.stride_in}, {known.pixel_stats.order} pixels, "
        f"{len(file.tensors)} tensors -> {out}"
    ]
