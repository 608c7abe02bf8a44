"""What --weights names: a run, a checkpoint, a file, or the tag of a detector torchvision publishes.

A tag's file is downloaded once into the cache (weight_tags.py), converted there, and found converted from then on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from detres.backbones import build_backbone
from detres.backbones.weight_files import read_tensors
from detres.backbones.weight_tags import PublishedWeights, fetch, weights_cache
from detres.detection import torchvision_weights
from detres.detection.building import assemble
from detres.detection.detector_files import load_strictly, settings_of
from detres.detection.faster_rcnn import FasterRCNN
from detres.errors import WeightsError
from detres.training.checkpoints import find_weights_file

# Their names, and the eps their backbones were trained with: the file does not hold it.
_PUBLISHED = {"fasterrcnn_resnet50_fpn": 0.0, "fasterrcnn_resnet50_fpn_v2": 1e-5}


def locate_detector(weights: str | Path) -> Path:
    """The safetensors file of a detector. Raises WeightsError where there is none."""
    publisher, _, name = str(weights).partition("/")
    if publisher != "torchvision" or Path(weights).exists():
        file = find_weights_file(weights)
        if file.suffix in (".pth", ".pt", ".pkl", ".bin", ".npz"):
            raise WeightsError(
                f"--weights {weights}: detectors are safetensors of detres's own. A backbone's weights go to "
                f"model.backbone.weights={file}; a detector of torchvision's is converted first: "
                f"detres convert_weights --from torchvision {file} {file.stem}.safetensors"
            )
        return file
    if name not in _PUBLISHED:
        known = ", ".join(f"torchvision/{tag}" for tag in _PUBLISHED)
        raise WeightsError(f"--weights {weights}: no such detector; there are {known}")
    converted = weights_cache() / "torchvision" / f"{name}.safetensors"
    if not converted.is_file():
        source = fetch(_published(name))
        convert_detector(source, read_tensors(source), converted, norm_eps=_PUBLISHED[name])
    return converted


def convert_detector(
    path: Path, tensors: Mapping[str, Tensor], out: Path, *, norm_eps: float, class_names: Sequence[str] | None = None
) -> FasterRCNN:
    """Write torchvision's detector `tensors`, read from `path`, as ours to `out`; returns the model.

    norm_eps: of the backbone's BN. class_names: without background; None: COCO's, or numbered ones.
    """
    try:
        ours = torchvision_weights.convert_state_dict(tensors)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    config = torchvision_weights.model_settings(tensors, class_names, norm_eps=norm_eps)
    test = torchvision_weights.test_settings()
    backbone = build_backbone(
        config.backbone.name, stride_in=config.backbone.stride_in, norm=config.backbone.norm, norm_eps=norm_eps
    )
    model = assemble(backbone, config, test)
    load_strictly(model, ours, str(path))
    settings = settings_of(model, config, torchvision_weights.data_settings(), test, f"torchvision {path.name}")
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(f".{out.name}.{os.getpid()}")  # Several processes may be at it.
    save_file({n: t.contiguous() for n, t in model.state_dict().items()}, partial, settings.to_metadata())
    partial.replace(out)
    return model


def _published(name: str) -> PublishedWeights:
    from torchvision.models import get_model_weights

    entry = get_model_weights(name).DEFAULT
    file = entry.url.rsplit("/", 1)[-1]
    digest = Path(file).stem.rsplit("-", 1)[-1]
    return PublishedWeights(f"torchvision/{name}", weights_cache() / "torchvision" / file, entry.url, digest, None)
