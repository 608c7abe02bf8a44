"""Networks of others under torchvision's names: what stands before the names, and what they call a layer."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from detres.backbones.architectures import BACKBONES, Architecture, VggArchitecture
from detres.backbones.network import Network
from detres.errors import WeightsError
from detres.lookup import find

# What ports call torchvision's fc, which reads the last stage's channels, and its downsample.
_CLASS_LAYERS = ("linear", "head.fc", "head", "classifier", "output")
_SHORTCUT = ".shortcut."
_COUNTER = "num_batches_tracked"


def under_own_names(tensors: Mapping[str, Tensor], architecture: str) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The tensors by the names of a network of list_backbones(), and what was left aside for that, for people.

    Where the network's own names stand there already, or nowhere, or the network is another's, nothing changes. Raises
    WeightsError where they stand behind several prefixes: which of the networks is meant is not known.
    """
    net = BACKBONES.get(architecture)
    anchors = find(net.network).anchors if net is not None else ()
    prefixes = sorted(
        name.removesuffix(anchors[0])
        for name in tensors
        if anchors and name.endswith(anchors[0]) and all(name.removesuffix(anchors[0]) + a in tensors for a in anchors)
    )
    if not prefixes:
        return dict(tensors), ()
    if "" not in prefixes and len(prefixes) > 1:
        shown = ", ".join(prefix.rstrip(".") for prefix in prefixes[:5])
        raise WeightsError(f"holds {len(prefixes)} networks, {shown}; save the state dict of one of them alone")
    prefix = prefixes[0]
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    own |= {name: tensor for name, tensor in tensors.items() if not name.startswith(prefix) and name not in own}
    told = [f"taken off its names: {prefix}"] if prefix else []
    if isinstance(net, Architecture):
        own, renamed = _renamed(own)
        told += renamed
    return own, tuple(told)


def architecture_of(tensors: Mapping[str, Tensor]) -> str | None:
    """The network of list_backbones() that these are, by names and shapes; None where it is none, or cannot be told."""
    for name, net in BACKBONES.items():
        try:
            own, _ = under_own_names(tensors, name)
        except WeightsError:
            return None
        network: type[Network] = find(net.network)
        if network.anchors[0] not in own:
            continue
        if isinstance(net, Architecture) and _form_of(own) == (net.block, net.depths, net.widths, _stem_of(net)):
            return name
        if isinstance(net, VggArchitecture) and _vgg_form_of(own) == (sum(net.depths), net.batch_norm):
            return name
    return None


def _renamed(own: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    told = []
    if any(_SHORTCUT in name for name in own) and not any(".downsample." in name for name in own):
        own = {name.replace(_SHORTCUT, ".downsample."): tensor for name, tensor in own.items()}
        told.append("its shortcut. is downsample.")
    layer = next((layer for layer in _CLASS_LAYERS if _is_matrix(own.get(f"{layer}.weight"))), None)
    if layer is not None and "fc.weight" not in own:
        own = {re.sub(rf"^{re.escape(layer)}\.(?=weight$|bias$)", "fc.", name): tensor for name, tensor in own.items()}
        told.append(f"its {layer}. is fc.")
    return own, told


def _is_matrix(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.ndim == 2


def _stem_of(net: Architecture) -> str | None:
    """As _form_of tells it, from a convolution called conv1; None of a stem of another form, which anchors tell."""
    return net.stem if "conv1.weight" in find(net.network).anchors else None


def _form_of(own: Mapping[str, Tensor]) -> tuple[str, tuple[int, ...], tuple[int, ...], str | None] | None:
    """block, depths, widths and stem of a residual or plain net."""
    first = own.get("conv1.weight")
    if first is not None and first.ndim != 4:
        return None
    stages: dict[int, set[int]] = {}
    for name in own:
        if match := re.fullmatch(r"layer(\d)\.(\d{1,4})\.conv1\.weight", name):
            stages.setdefault(int(match[1]), set()).add(int(match[2]))
    depths = tuple(len(stages[stage]) for stage in sorted(stages))
    widths = tuple(own[f"layer{stage}.{min(stages[stage])}.conv1.weight"].shape[0] for stage in sorted(stages))
    block = "bottleneck" if "layer1.0.conv3.weight" in own else "basic"
    stem = None if first is None else "imagenet" if first.shape[-1] == 7 else "cifar"
    return block, depths, widths, stem


def _vgg_form_of(own: Mapping[str, Tensor]) -> tuple[int, bool] | None:
    """How many convolutions, and whether with batch norm."""
    convs = sum(name.startswith("features.") and tensor.ndim == 4 for name, tensor in own.items())
    return (convs, any(name.endswith("running_var") for name in own)) if convs else None
