"""Whether tensors are the weights of a network: names and shapes, before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from detres.backbones.architectures import BACKBONES, Architecture, Shortcut
from detres.backbones.building import Choices, build_network
from detres.backbones.network import Network
from detres.backbones.weights.foreign_names import architecture_of
from detres.errors import WeightsError
from detres.lookup import find

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class Fitting:
    """Tensors that are a network's. left_over: names of others, which were beside them.

    shortcut: the network's, None where it is no residual net. num_classes: of its last layer; None: without one.
    missing: of the network's last stages of which nothing is there, in its order, the first name.
    """

    tensors: dict[str, Tensor]
    left_over: tuple[str, ...]
    shortcut: Shortcut | None
    num_classes: int | None
    missing: Mapping[str, str] = field(default_factory=dict)


def fit(tensors: Mapping[str, Tensor], architecture: str, shortcut: Shortcut | None = None) -> Fitting:
    """The tensors that are the network's, by torchvision's names; the last stages may be missing as a whole.

    shortcut: as stated; None: as the tensors have it. Raises WeightsError where they are not: a name that no such
    network has, one that is missing, another shape.
    """
    shortcut = shortcut or _shortcut_of(tensors, architecture)
    net, has_classes = _on_paper(architecture, shortcut, tensors)
    places = net.state_dict()
    own_parts = {name.split(".")[0] for name in places} - {net.class_layer.split(".")[0]}
    unknown = [name for name in tensors if name not in places and not name.endswith(_COUNTER)]
    foreign = [name for name in unknown if name.split(".")[0] in own_parts]
    absent = [name for name in places if name not in tensors and not name.endswith(_COUNTER)]
    gone = _gone(net, places, absent)
    missing = [name for name in absent if net.stage_of(name) not in gone]
    problems = _problems(tensors, places, foreign, missing)
    if problems:
        looks = architecture_of(tensors)
        hint = f"; they look like {looks}'s: --architecture {looks}" if looks not in (None, architecture) else ""
        raise WeightsError(f"no weights of {architecture}: {'; '.join(problems)}{hint}")
    own = {name: tensor for name, tensor in tensors.items() if name in places}
    num_classes = net.num_classes if has_classes and not gone else None
    first = {net.stage_of(name): name for name in reversed(absent) if net.stage_of(name) in gone}
    return Fitting(own, tuple(unknown), shortcut, num_classes, dict(reversed(first.items())))


def _problems(
    tensors: Mapping[str, Tensor], places: Mapping[str, Tensor], foreign: Sequence[str], missing: Sequence[str]
) -> list[str]:
    if not any(name in places for name in tensors):
        first = next(iter(tensors), "nothing")[:100]
        return [
            f"none of its {len(tensors)} names is the network's, which begins with {next(iter(places))} where it "
            f"begins with {first}"
        ]
    wrong = [
        f"{name} is {tuple(tensor.shape)}, expected {tuple(places[name].shape)}"
        for name, tensor in tensors.items()
        if name in places and tensor.shape != places[name].shape
    ]
    return [
        *([f"{len(foreign)} names it has not, such as {foreign[0]}"] if foreign else []),
        *([f"{len(missing)} of its {len(places)} names are missing, such as {missing[0]}"] if missing else []),
        *([f"{len(wrong)} shapes differ: {'; '.join(wrong[:2])}"] if wrong else []),
    ]


def _on_paper(architecture: str, shortcut: Shortcut | None, tensors: Mapping[str, Tensor]) -> tuple[Network, bool]:
    """The network without memory for its weights, with as many classes as the tensors have."""
    classes = tensors.get(f"{find(BACKBONES[architecture].network).class_layer}.weight")
    count = classes.shape[0] if classes is not None and classes.ndim == 2 and classes.shape[0] else None
    with torch.device("meta"):
        return build_network(architecture, Choices(shortcut=shortcut), num_classes=count), count is not None


def _shortcut_of(tensors: Mapping[str, Tensor], architecture: str) -> Shortcut | None:
    """As the tensors have it; the architecture's own where they have none."""
    own = BACKBONES[architecture]
    if not isinstance(own, Architecture):
        return None
    if own.shortcut == "plain":
        return "plain"
    # By its blocks: what stands first in a projection need not be a convolution.
    projected = {name.split(".downsample.")[0] for name in tensors if ".downsample." in name}
    blocks = sum(name.endswith(".conv2.weight") for name in tensors)
    return own.shortcut if not projected else "C" if len(projected) == blocks else "B"


def _gone(net: Network, places: Mapping[str, Tensor], absent: Sequence[str]) -> set[str]:
    """The last stages of which nothing is there."""
    gone = set()
    for stage in reversed(net.stages[1:]):
        own = {name for name in places if net.stage_of(name) == stage and not name.endswith(_COUNTER)}
        if own and not own <= set(absent):
            break
        gone.add(stage)
    return gone
