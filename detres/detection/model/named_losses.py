"""From the name of a loss in a config to the function, checked before anything is trained by it.

P boxes, M samples. The signatures, beside which a function may take parameters of its own by keyword:

    box loss         f(deltas, references, boxes, codec_weights) -> Tensor
                     deltas: (P, 4), predicted; references: (P, 4), the anchors or proposals that they are offsets from;
                     boxes: (P, 4), what should be reached, xyxy pixels; codec_weights: the four factors of the offsets.
                     boxes.decode_boxes(deltas, references, codec_weights) are the predicted boxes.
    objectness loss  f(logits, is_object) -> Tensor
                     logits: (M,), predicted; is_object: (M,), 1 for an object and 0 for none.

Both return the sum over all rows, a scalar with a gradient, and 0 where there are none. The model divides it
(losses.normalizer).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from detres.errors import ConfigError
from detres.lookup import Table, nearest
from detres.own_code import call_own, find_own_function
from detres.tables import BOX_LOSSES, OBJECTNESS_LOSSES

Loss = Callable[..., Tensor]


def find_box_loss(name: str, options: Mapping[str, Any], where: str) -> Loss:
    """where: its key in a config, for messages. Raises ConfigError where there is none, or it takes no such options."""
    loss = _find(name, BOX_LOSSES, options, where, inputs=4)
    if ":" in name:
        for boxes in (torch.tensor([[2.0, 3, 12, 9], [4, 1, 5, 8]]), torch.zeros(0, 4)):
            deltas = torch.full_like(boxes, 0.1, requires_grad=True)
            _try(loss, (deltas, boxes + 1, boxes, (1.0, 1.0, 1.0, 1.0)), f"{where}: {name}")
    return loss


def find_objectness_loss(name: str, options: Mapping[str, Any], where: str) -> Loss:
    """As find_box_loss."""
    loss = _find(name, OBJECTNESS_LOSSES, options, where, inputs=2)
    if ":" in name:
        for is_object in (torch.tensor([1.0, 0.0]), torch.zeros(0)):
            _try(loss, (torch.zeros_like(is_object, requires_grad=True), is_object), f"{where}: {name}")
    return loss


def _find(name: str, table: Table, options: Mapping[str, Any], where: str, *, inputs: int) -> Loss:
    """inputs: how many arguments the loss is called with beside its options."""
    if name not in table and ":" not in name:
        raise ConfigError(f"{where}: {name!r} is no loss; there are {', '.join(table)} and module:callable")
    function = table[name] if name in table else find_own_function(name, f"{where}:")
    try:
        signature = inspect.signature(function)
    except ValueError:  # some of Python's own callables state none
        return partial(function, **options)
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    own = list(signature.parameters)[inputs:]
    for key in options if inspect.Parameter.VAR_KEYWORD not in kinds else ():
        if key not in own:
            close = nearest(key, own, 1)
            of_another = f"; where it is another loss's, say {where}={{name: {name}, options: {{}}}}"
            takes = f"{name} takes {', '.join(own) or 'none'}{of_another}"
            mend = f"did you mean {close[0]}?" if close else takes
            raise ConfigError(f"{where}.options.{key} is unknown; {mend}")
    try:
        signature.bind(*[None] * inputs, **options)
    except TypeError as error:
        raise ConfigError(f"{where}: {name} is called with {inputs} arguments and its options: {error}") from None
    return partial(function, **options)


def _try(loss: Loss, inputs: tuple[Any, ...], what: str) -> None:
    """Raise ConfigError where the loss fails on inputs that training will give it."""
    rows = len(inputs[0])
    with torch.enable_grad():
        found = call_own(loss, f"{what} called with {rows} rows", *inputs)
    if not isinstance(found, Tensor) or found.ndim or not found.requires_grad or not found.isfinite():
        shown = f"{type(found).__name__}{list(found.shape)}" if isinstance(found, Tensor) else repr(found)[:80]
        shown = f"{found.item()}" if isinstance(found, Tensor) and not found.ndim else shown
        raise ConfigError(
            f"{what} called with {rows} rows returned {shown}; expected a sum over the rows: a finite scalar with a "
            "gradient"
        )
