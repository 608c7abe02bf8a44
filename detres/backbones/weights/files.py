"""Weights on the disk: any format in, safetensors with metadata out.

A file that says nothing of itself is either recognised beyond doubt or must be told about by FILE.json beside it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from detres.backbones.pixels import VGG_FEATURES_STATS
from detres.backbones.weights.foreign_names import architecture_of, under_own_names
from detres.backbones.weights.formats import form_of
from detres.backbones.weights.metadata import WeightsMetadata, msra_metadata
from detres.backbones.weights.msra_pickle import read_msra_pickle
from detres.backbones.weights.state_dicts import state_dict_of, unwrapped
from detres.config.finding import list_configs
from detres.errors import DataError, WeightsError
from detres.files import safetensors
from detres.files.checksums import is_as_written, sha256, with_checksum
from detres.files.npz import read_npz
from detres.files.text import read_text
from detres.files.whole import whole_path
from detres.pickles.inert_pickle import read_torch_file
from detres.structures import IMAGENET_STATS

METADATA_KEY = "backbone"
"""Under which safetensors carry WeightsMetadata, as JSON."""

# He's ResNet-50 converted to torchvision's names is an archive of arrays with no room for metadata. Its first
# convolution tells it from every other network, also where later stages were left out or the archive was packed anew.
_MSRA_CONV1 = {"041de3916ff722f2719a48da19ee85264ebc397edc4bf4df0a7cf74bf0e283e7": "resnet50"}

_TORCHVISION_FILE = re.compile(r"(resnet(?:18|34|50|101|152)|vgg16(?:_bn)?)(_features-amdegroot)?-([0-9a-f]{8})\.pth")


@dataclass(frozen=True)
class WeightsFile:
    """Tensors by torchvision's names, where they are from, what is known of them, and what reading them left aside."""

    source: str
    tensors: dict[str, Tensor]
    metadata: WeightsMetadata
    notes: tuple[str, ...] = ()


def read_weights(path: Path, *, metadata: WeightsMetadata | None = None) -> WeightsFile:
    """Read safetensors, what torch.save or numpy.savez wrote, or a published .pkl, whatever its ending.

    metadata: where the caller knows it, as with a tag. FILE.json beside the file comes first otherwise, then what the
    file carries, then what it is recognised as. Raises WeightsError where nothing is known, or nothing can be read.
    """
    found = _read(path)
    sidecar = path.with_name(path.name + ".json")
    if metadata is None and sidecar.is_file():
        metadata = WeightsMetadata.from_json(_text_of(sidecar), where=str(sidecar))
    metadata = metadata or found.carried or _recognise(path, found.tensors)
    if metadata is None:
        raise WeightsError(_untold(path, sidecar, found.tensors))
    try:
        tensors, aside = under_own_names(found.tensors, metadata.architecture)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    return WeightsFile(str(path), tensors, metadata, (*found.notes, *aside))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors of any of these formats, whatever they belong to, and what was left aside, for people."""
    found = _read(path)
    return found.tensors, found.notes


def write_weights(path: Path, tensors: Mapping[str, Tensor], metadata: WeightsMetadata) -> None:
    """Write safetensors that say what they are."""
    write_tensors(path, tensors, {METADATA_KEY: metadata.to_json()})


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write safetensors with metadata, whole or not at all. Raises UserError where the disk refuses."""
    own = _apart(tensors)
    with whole_path(path) as partial:
        safetensors.save_file(own, partial, with_checksum(own, metadata))


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU, each with bytes of its own: safetensors writes no two names of the same bytes."""
    seen: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        storage = tensor.untyped_storage().data_ptr()
        own[name] = tensor.clone() if storage in seen else tensor
        seen.add(storage)
    return own


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """The names of those that hold infinities or no numbers, as a model of ours has them: in 32 bits.

    What is larger than these is finite in a file of 64 bits, and infinite in the model.
    """
    return [name for name, tensor in tensors.items() if not tensor.float().isfinite().all()]


@dataclass(frozen=True)
class _Contents:
    """carried: what the file says of itself. notes: for people."""

    tensors: dict[str, Tensor]
    carried: WeightsMetadata | None = None
    notes: tuple[str, ...] = ()


def _made_by(path: Path) -> str:
    """The command that makes runs/NAME/backbone.safetensors, where NAME is a config that came with detres."""
    name = path.parent.name
    if path.name != "backbone.safetensors" or path.parent.parent.name != "runs":
        return ""
    known = any(stem == name for stem, _, _ in list_configs())
    return f"; `detres train_cls --cfg {name}` makes it" if known else ""


def _read(path: Path) -> _Contents:
    """By what it holds, whatever it is called."""
    if not path.is_file():
        raise WeightsError(f"{path}: no such weights file{_made_by(path)}")
    readers = {
        "safetensors": _read_safetensors,
        "npz": _read_npz,
        "torch": _read_state_dict,
        "pickle": lambda path: _Contents(*read_msra_pickle(path)),
    }
    return readers[form_of(path)](path)


def _read_safetensors(path: Path) -> _Contents:
    try:
        tensors, metadata = safetensors.read_tensors(path)
    except ValueError as error:
        raise WeightsError(f"{path}: not a safetensors file that can be read ({error})") from error
    if is_as_written(tensors, metadata) is False:
        raise WeightsError(f"{path}: its bytes are not those that were written: the checksum differs; fetch it again")
    if METADATA_KEY in metadata:
        return _Contents(tensors, WeightsMetadata.from_json(metadata[METADATA_KEY], where=str(path)))
    try:
        tensors, notes = unwrapped(tensors)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    return _Contents(tensors, notes=notes)


def _read_npz(path: Path) -> _Contents:
    try:
        return _Contents({name: torch.from_numpy(array) for name, array in read_npz(path).items()})
    except (ValueError, TypeError, OSError) as error:
        raise WeightsError(f"{path}: not an archive of arrays that can be read ({error})") from error


def _read_state_dict(path: Path) -> _Contents:
    try:
        found = state_dict_of(*read_torch_file(path))
    except ValueError as error:
        raise WeightsError(f"{path}: {error}; it may be cut off: fetch or save it again") from error
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from None
    return _Contents(found.tensors, notes=found.notes)


def _recognise(path: Path, tensors: Mapping[str, Tensor]) -> WeightsMetadata | None:
    conv1 = tensors.get("conv1.weight")
    if conv1 is not None and conv1.dtype == torch.float32 and conv1.shape == (64, 3, 7, 7):
        digest = hashlib.sha256(conv1.contiguous().numpy().tobytes()).hexdigest()
        if digest in _MSRA_CONV1:
            return msra_metadata(_MSRA_CONV1[digest])
    # torchvision writes the head of a file's SHA-256 into its name, so a name that tells the truth cannot be another's.
    published = _TORCHVISION_FILE.fullmatch(path.name)
    if published and sha256(path).startswith(published[3]):
        stats = VGG_FEATURES_STATS if published[2] else IMAGENET_STATS
        return WeightsMetadata(published[1], stats, recipe=f"torchvision {path.name}")
    return None


def _text_of(sidecar: Path) -> str:
    try:
        return read_text(sidecar)
    except DataError as error:
        raise WeightsError(str(error)) from None


def _untold(path: Path, sidecar: Path, tensors: Mapping[str, Tensor]) -> str:
    looks = architecture_of(tensors)
    example = WeightsMetadata(looks or "resnet50", IMAGENET_STATS, recipe="torchvision-style training")
    return (
        f"{path}: carries no metadata, and is not recognised"
        + (f" (its names and shapes are {looks}'s)" if looks else "")
        + ". Weights used with another stride placement, channel order or pool than they were trained with fail "
        f"silently, so say what they are: convert_weights --from torchvision --architecture {looks or 'NAME'} {path} "
        f"{path.name.split('.')[0]}.safetensors makes a file that does, for a model trained as torchvision's are; or "
        f"write to {sidecar.name} beside them what such a one would say: {example.to_json()}"
    )
