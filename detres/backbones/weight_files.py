"""Weights on the disk: any format in, safetensors with metadata out.

A file that says nothing of itself is either recognised beyond doubt or must be told about by FILE.json beside it.
"""

from __future__ import annotations

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from detres.backbones.metadata import WeightsMetadata
from detres.backbones.msra_pickle import msra_metadata, read_msra_pickle
from detres.backbones.pixels import VGG_FEATURES_STATS
from detres.errors import WeightsError
from detres.files.whole import whole_path
from detres.structures import IMAGENET_STATS

METADATA_KEY = "backbone"
"""Under which safetensors carry WeightsMetadata, as JSON."""

# He's ResNet-50 converted to torchvision's names is an archive of arrays with no room for metadata. Its first
# convolution tells it from every other network, also where later stages were left out or the archive was packed anew.
_MSRA_CONV1 = {"041de3916ff722f2719a48da19ee85264ebc397edc4bf4df0a7cf74bf0e283e7": "resnet50"}

_TORCHVISION_FILE = re.compile(r"(resnet(?:18|34|50|101|152)|vgg16(?:_bn)?)(_features-amdegroot)?-([0-9a-f]{8})\.pth")

_ASKED_FOR = re.compile(r"(?:GLOBAL|class) ([\w.]+)")
"""What a pickle would have had built, in torch's words of refusal."""


@dataclass(frozen=True)
class WeightsFile:
    """Tensors by torchvision's names, where they are from, and what is known of them."""

    source: str
    tensors: dict[str, Tensor]
    metadata: WeightsMetadata


def read_weights(path: Path, *, metadata: WeightsMetadata | None = None) -> WeightsFile:
    """Read .safetensors, .pth or .pt, .npz, or a published .pkl.

    metadata: where the caller knows it, as with a tag. FILE.json beside the file comes first otherwise, then what the
    file carries, then what it is recognised as. Raises WeightsError where nothing is known, or nothing can be read.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    tensors, carried = _read(path)
    sidecar = path.with_name(path.name + ".json")
    if metadata is None and sidecar.is_file():
        metadata = WeightsMetadata.from_json(sidecar.read_text(), where=str(sidecar))
    metadata = metadata or carried or _recognise(path, tensors)
    if metadata is None:
        raise WeightsError(_untold(path, sidecar))
    return WeightsFile(str(path), tensors, metadata)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of any of these formats, whatever they belong to."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file")
    return _read(path)[0]


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: WeightsMetadata) -> None:
    """Write safetensors that say what they are."""
    write_tensors(path, tensors, {METADATA_KEY: metadata.to_json()})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write safetensors with metadata; the file appears whole or not at all."""
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with whole_path(path) as partial:
        safetensors.torch.save_file(contiguous, partial, dict(metadata))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(path: Path) -> tuple[dict[str, Tensor], WeightsMetadata | None]:
    readers = {
        ".safetensors": _read_safetensors,
        ".npz": _read_npz,
        ".pth": _read_state_dict,
        ".pt": _read_state_dict,
        ".pkl": read_msra_pickle,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise WeightsError(f"{path}: weights are {', '.join(readers)}, not {path.suffix or 'a file without suffix'}")
    return reader(path)


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], WeightsMetadata | None]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            carried = (file.metadata() or {}).get(METADATA_KEY)
    except (safetensors.SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a safetensors file that can be read ({error})") from error
    return tensors, WeightsMetadata.from_json(carried, where=str(path)) if carried else None


def _read_npz(path: Path) -> tuple[dict[str, Tensor], None]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}, None
    except (ValueError, OSError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path}: not an archive of arrays that can be read ({error})") from error


def _read_state_dict(path: Path) -> tuple[dict[str, Tensor], None]:
    """A state dict, alone or under "state_dict" or "model", with or without DistributedDataParallel's prefix."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        asked = _ASKED_FOR.search(str(error))  # The rest of torch's page tells how to run it all the same.
        why = f"its pickle asks for {asked[1]}, and might run any code" if asked else "its pickle is damaged"
        raise WeightsError(f"{path}: not a state dict of tensors alone: {why}") from error
    except Exception as error:  # torch raises what its parts raise
        raise WeightsError(
            f"{path}: not a state dict that can be read ({error}); it may be cut off: fetch or save it again"
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, Tensor) for value in content.values()):
        raise WeightsError(f"{path}: holds no tensors by name, alone or under state_dict or model")
    return {name.removeprefix("module."): tensor for name, tensor in content.items()}, None


def _recognise(path: Path, tensors: Mapping[str, Tensor]) -> WeightsMetadata | None:
    conv1 = tensors.get("conv1.weight")
    if conv1 is not None and conv1.dtype == torch.float32:
        digest = hashlib.sha256(conv1.contiguous().numpy().tobytes()).hexdigest()
        if digest in _MSRA_CONV1:
            return msra_metadata(_MSRA_CONV1[digest])
    # torchvision writes the head of a file's SHA-256 into its name, so a name that tells the truth cannot be another's.
    published = _TORCHVISION_FILE.fullmatch(path.name)
    if published and sha256(path).startswith(published[3]):
        stats = VGG_FEATURES_STATS if published[2] else IMAGENET_STATS
        return WeightsMetadata(published[1], stats, recipe=f"torchvision {path.name}")
    return None


def _untold(path: Path, sidecar: Path) -> str:
    example = WeightsMetadata("resnet50", IMAGENET_STATS, recipe="torchvision-style training")
    return (
        f"{path}: carries no metadata, and is not recognised. Weights used with another stride placement, channel "
        f"order or pool than they were trained with fail silently, so write what they are to {sidecar.name} beside "
        f"them; for a model trained as torchvision's are, that is {example.to_json()}"
    )
