"""Where in what torch.save wrote the tensors of a model lie, and under which names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from detres.errors import WeightsError
from detres.pickles.values import Inert, described

# Under which a checkpoint keeps the model, the usual first. An average of the weights is taken where nothing else is.
_HOLDERS = ("state_dict", "model", "model_state_dict", "model_state", "network", "net", "weights", "params", "module")
_AVERAGES = ("model_ema", "state_dict_ema", "ema_state_dict", "ema", "params_ema", "teacher")
# What training wraps around a model, as the first part of every name.
_WRAPPERS = ("module", "_orig_mod", "model", "backbone", "encoder")
_COMPILED = "_orig_mod"
# The number of models in torch.optim.swa_utils.AveragedModel, which stands beside `module`.
_AVERAGED = "n_averaged"


@dataclass(frozen=True)
class StateDict:
    """Tensors by name; notes: what was left aside, or taken off the names, for people."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...] = ()


def state_dict_of(content: Any, inert: Mapping[str, int]) -> StateDict:
    """The model's tensors in what inert_pickle read: alone, or under a name such as state_dict or model.

    inert: what was left unread. Raises WeightsError, which names what is there instead.
    """
    place, found, notes = "", content, list[str]()
    while not _holds_tensors(found):
        keys = [key for key in (*_HOLDERS, *_AVERAGES) if isinstance(found, Mapping) and _is_model(found.get(key))]
        if not keys:
            raise WeightsError(_nothing_found(found, place))
        notes += [f"{place}{key}, beside {place}{keys[0]}, is left aside" for key in keys[1:]]
        place, found = f"{place}{keys[0]}.", found[keys[0]]
    if strange := {name: value for name, value in found.items() if not isinstance(value, Tensor)}:
        raise WeightsError(_strange(strange))
    unread = ", ".join(sorted(inert)[:4])
    notes += [f"left unread, beside the weights: {unread}"] if unread else []
    tensors, taken_off = unwrapped(found)
    return StateDict(tensors, (*notes, *taken_off))


def unwrapped(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Without what wrappers put before every name; and what that was, for people.

    Raises WeightsError where two names become one.
    """
    names = {name: name for name in tensors if name != _AVERAGED}
    off: list[str] = []
    if any(_COMPILED in name.split(".") for name in names):
        names = {
            name: ".".join(part for part in short.split(".") if part != _COMPILED) for name, short in names.items()
        }
        off.append(_COMPILED)
    while (first := _shared_first(names.values())) in _WRAPPERS:
        names = {name: short.partition(".")[2] for name, short in names.items()}
        off.append(first)
    # A model that is wrapped in parts.
    names = {name: short.removeprefix("module.") for name, short in names.items()}
    if len(set(names.values())) < len(names):
        raise WeightsError("two of its names are one without `module` and `_orig_mod`: two models in one state dict")
    told = (f"taken off its names: {', '.join(f'{part}.' for part in off)}",) if off else ()
    return {short: tensors[name] for name, short in names.items()}, told


def _shared_first(names: Iterable[str]) -> str | None:
    firsts = {name.partition(".")[0] if "." in name else "" for name in names}
    return firsts.pop() if len(firsts) == 1 else None


def _is_model(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value)


def _holds_tensors(value: Any) -> bool:
    """Whether this is a state dict: tensors by name, be there other things among them."""
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        return False
    # Of a checkpoint, a queue or a step may be a tensor as well; a layer's has a dot in its name.
    return any(isinstance(each, Tensor) and "." in name for name, each in value.items()) or (
        bool(value) and all(isinstance(each, Tensor | Inert) for each in value.values())
    )


def _strange(strange: Mapping[str, Any]) -> str:
    name, value = next(iter(strange.items()))
    if isinstance(value, Inert):
        return f"not a state dict of tensors alone: its pickle asks for {value.name}, and might run any code"
    return f"not a state dict of tensors alone: {name[:100]!r} is {described(value)}"


def _nothing_found(content: Any, place: str) -> str:
    where = f"{place.rstrip('.')} " if place else ""
    if isinstance(content, Inert):
        return (
            f"{where}holds no tensors by name but {described(content)}, a whole object, which might run any code; save "
            "its state_dict() instead"
        )
    keys = ", ".join(described(key) for key in list(content)[:8]) if isinstance(content, Mapping) else ""
    return (
        f"{where}holds no tensors by name, alone or under {', '.join(_HOLDERS[:3])} or {_AVERAGES[0]}, but "
        f"{f'a dict of {keys}' if keys else described(content)}; save the model's state_dict() alone"
    )
