"""Loading weights into a backbone: what they are, whether they fit, and what became of each name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor

from detres.backbones.network import Network
from detres.backbones.weights.files import WeightsFile, not_finite, read_weights, write_weights
from detres.backbones.weights.metadata import LoadReport, WeightsMetadata
from detres.backbones.weights.tags import fetch, find_published, is_tag
from detres.checkpoints.reading import find_checkpoint
from detres.checkpoints.saving import MODEL_FILE
from detres.errors import WeightsError
from detres.files.places import local_place

_COUNTER = "num_batches_tracked"  # of trainable batch norm: bookkeeping, not a weight


def find_weights(weights: str | Path, architecture: str) -> WeightsFile:
    """The tensors and metadata of a file, a classifier's run or checkpoint folder, a tag, or "pretrained".

    Raises WeightsError where there is no such thing, or where it belongs to another architecture.
    """
    if isinstance(weights, str) and is_tag(weights):
        published = find_published(weights, architecture)
        file = read_weights(fetch(published), metadata=published.metadata)
    else:
        path = local_place(weights, f"model.backbone.weights={weights}")
        file = read_weights(find_checkpoint(path) / MODEL_FILE if path.is_dir() else path)
    if file.metadata.architecture != architecture:
        raise WeightsError(
            f"{file.source}: weights of {file.metadata.architecture}, not of {architecture}; name that backbone, or "
            "other weights"
        )
    return file


def load_weights(net: Network, file: WeightsFile, *, notes: Iterable[str] = ()) -> LoadReport:
    """Copy every tensor of the file that the network has a place for.

    Stages may be missing as a whole or in part; a tensor of another shape, or norms of another kind, are an error.
    The last layer is left out where it has another number of classes, so that it starts anew.
    """
    places = net.state_dict()
    tensors = {name: tensor for name, tensor in file.tensors.items() if not name.endswith(_COUNTER)}
    classes = f"{net.class_layer}.weight"
    if classes in places and classes in tensors and tensors[classes].shape != places[classes].shape:
        places = {name: place for name, place in places.items() if not name.startswith(f"{net.class_layer}.")}
    loaded = {name: tensor for name, tensor in tensors.items() if name in places}
    _check_fit(file.source, places, loaded, tensors)
    net.load_state_dict(loaded, strict=False)
    wanted = [name for name in net.state_dict() if not name.endswith(_COUNTER)]
    return LoadReport(
        source=file.source,
        loaded=tuple(loaded),
        missing=tuple(name for name in wanted if name not in loaded),
        left_over=tuple(name for name in tensors if name not in loaded),
        metadata=file.metadata,
        norms=dict(net.norms),
        notes=(*file.notes, *notes),
    )


def metadata_of(net: Network, *, recipe: str = "") -> WeightsMetadata:
    """What a file with this network's weights has to say of itself."""
    return WeightsMetadata(net.name, net.pixel_stats, norm_eps=net.norm_eps, recipe=recipe, **net.form)


def save_backbone(path: Path | str, net: Network, *, recipe: str = "") -> None:
    """Write the backbone's weights as safetensors that build_backbone(name, weights=path) takes."""
    write_weights(Path(path), net.state_dict(), metadata_of(net, recipe=recipe))


def _check_fit(
    source: str, places: Mapping[str, Tensor], loaded: Mapping[str, Tensor], tensors: Mapping[str, Tensor]
) -> None:
    if not loaded:
        raise WeightsError(
            f"{source}: none of its {len(tensors)} names is one of the model's (first: {next(iter(tensors), 'none')}; "
            f"expected such as {next(iter(places))}); convert the file with `detres convert_weights`"
        )
    if any(name.startswith("pre_logits.") for name in tensors):
        # Its convolutions would load, and its fc6 and fc7 would silently start from scratch.
        raise WeightsError(
            f"{source}: timm's form of a VGG net, whose fc6 and fc7 are convolutions; its weights are torchvision's, "
            "such as torchvision/IMAGENET1K_V1, and timm/vgg16 is a backbone of its own"
        )
    wrong = [
        f"{name} is {tuple(tensor.shape)}, expected {tuple(places[name].shape)}"
        for name, tensor in loaded.items()
        if tensor.shape != places[name].shape
    ]
    if wrong:
        raise WeightsError(f"{source}: {len(wrong)} tensors have another shape: {'; '.join(wrong[:3])}")
    if broken := not_finite(loaded):
        raise WeightsError(f"{source}: not finite in {len(broken)} tensors: {', '.join(broken[:3])}")
    # Group norm's scales have the shape of batch norm's, and would load without a word.
    batch_norms = [any(name.endswith("running_var") for name in names) for names in (places, tensors)]
    if batch_norms[0] != batch_norms[1]:
        kinds = ["batch norm" if has else "a norm without statistics" for has in batch_norms]
        raise WeightsError(
            f"{source}: the model has {kinds[0]}, the weights {kinds[1]}; set the backbone's norm to match"
        )
