"""Which settings timm's optimizers take, asked of timm; it is imported where one of them is named."""

from __future__ import annotations

import inspect

PREFIX = "timm/"


def takes(name: str, setting: str) -> bool:
    """Whether timm/NAME takes momentum or a pair of betas. True of names that timm has not: they are refused elsewhere.

    Of those whose package is not here nobody knows, and timm's word counts.
    """
    from timm.optim import get_optimizer_class, get_optimizer_info, list_optimizers

    own = name.removeprefix(PREFIX)
    if own not in list_optimizers():
        return True
    info = get_optimizer_info(own)
    try:
        parameters = inspect.signature(get_optimizer_class(own, bind_defaults=False)).parameters
    except (ImportError, AssertionError, ValueError):
        return bool(info.has_momentum if setting == "momentum" else info.has_betas)
    if setting == "betas":
        return setting in parameters and len(parameters[setting].default or ()) == 2
    return setting in parameters
