"""Whether what a model's file says of itself can be true, found out before memory is taken for it.

A file of a kilobyte may describe layers of a terabyte, a loop over a billion of them, or images of a billion pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from detres.errors import UserError, WeightsError

_COUNTER = "num_batches_tracked"
# Of a file's settings, by the last part of their keys: the number of layers, of cells, of pixels, of repetitions.
_MOST = {
    **dict.fromkeys(("convs", "head_convs", "head_fcs"), 100),
    **dict.fromkeys(("channels", "head_conv_channels", "head_fc_channels"), 1 << 16),
    **dict.fromkeys(("pool", "sampling_ratio"), 256),
    **dict.fromkeys(("shortest_side", "longest_side", "crop", "scales"), 1 << 16),
    **dict.fromkeys(("refine", "batch"), 1 << 16),
    "pad_to": 1 << 12,
}
_LONGEST_LIST, _LARGEST_NUMBER = 1000, 1e12


def check_extents(values: Any, key: str = "") -> None:
    """Raise ValueError for a number of a file's settings that no model of ours has; class names may be many.

    values: nested as in a config. key: of them, in messages.
    """
    if isinstance(values, Mapping):
        for name, value in values.items():
            if name != "class_names":
                check_extents(value, f"{key}.{name}".lstrip("."))
    elif isinstance(values, list | tuple):
        if len(values) > _LONGEST_LIST:
            raise ValueError(f"{key} has {len(values)} entries, expected {_LONGEST_LIST} at most")
        for value in values:
            check_extents(value, key)
    elif isinstance(values, int | float) and abs(values) > (most := _MOST.get(key.split(".")[-1], _LARGEST_NUMBER)):
        shown = f"{values:.6g}" if abs(values) < 1e300 else "a number of hundreds of digits"
        raise ValueError(f"{key} is {shown}, expected {most:.6g} at most")


def shapes_of(build: Callable[[], nn.Module]) -> dict[str, torch.Size]:
    """The shape of each tensor of the model that `build` makes, by name; it is made without memory for its weights."""
    with torch.device("meta"):
        return {name: tensor.shape for name, tensor in build().state_dict().items()}


def check_described(
    build: Callable[[], nn.Module], tensors: Mapping[str, Tensor], where: str, what: str = "the model it describes"
) -> None:
    """Raise WeightsError, naming `where`, where the model that `build` makes has not the tensors' names and shapes.

    It is made without memory for its weights. what: the model, for people.
    """
    try:
        with torch.device("meta"):
            places = build().state_dict()
    except WeightsError:
        raise
    except UserError as error:
        raise WeightsError(f"{where}: describes a model that cannot be built: {str(error)[:500]}") from None
    except Exception as error:  # whatever torch and a network make of numbers that contradict each other
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsError(f"{where}: describes a model that cannot be built ({why[:300]})") from None
    missing = [name for name in places if name not in tensors and not name.endswith(_COUNTER)]
    unknown = [name for name in tensors if name not in places and not name.endswith(_COUNTER)]
    wrong = [
        f"{name} is {tuple(tensor.shape)}, expected {tuple(places[name].shape)}"
        for name, tensor in tensors.items()
        if name in places and tensor.shape != places[name].shape
    ]
    problems = [
        *([f"{len(missing)} tensors are missing, such as {missing[0]}"] if missing else []),
        *([f"{len(unknown)} have no place, such as {unknown[0][:100]}"] if unknown else []),
        *([f"{len(wrong)} shapes differ: {'; '.join(wrong[:3])}"] if wrong else []),
    ]
    if problems:
        raise WeightsError(f"{where}: does not fit {what}: {'; '.join(problems)}")
