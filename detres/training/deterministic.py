"""A run that repeats bit for bit: which algorithms torch is asked for meanwhile, and what that costs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch

from detres.errors import ConfigError

_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
_FIXED = (":4096:8", ":16:8")


@contextmanager
def deterministic(asked: bool, device: torch.device) -> Iterator[None]:
    """Within it, where it is asked for, torch takes algorithms alone that give the same bits each time.

    Of the whole process, and put back at the end. The memory that cuBLAS works in is fixed as well; that has to be
    before the process first multiplies matrices on a GPU.
    Raises ConfigError where it was too late for that, where the environment wants that memory otherwise, and where
    something has no such algorithm.
    """
    if not asked:
        yield
        return
    with ExitStack() as stack:
        if device.type == "cuda":
            _fix_workspace(stack)
        _choose(stack)
        if device.type == "cuda":
            _check_workspace(device)
        try:
            yield
        except RuntimeError as error:
            operator, found, _ = str(error).partition(" does not have a deterministic implementation")
            if not found:
                raise
            raise ConfigError(
                f"training.deterministic=true: {operator} on {device} gives the same bits each time in none of torch's "
                "ways; take training.deterministic=false, or a model without it"
            ) from error


def what_it_costs(device: torch.device) -> str:
    """For a run's first lines."""
    if device.type == "cuda":
        return (
            "training.deterministic: the same card and versions give the same bits again; convolutions, sums and "
            "RoIAlign take algorithms that do, and mostly longer"
        )
    return (
        "training.deterministic: the same processor, threads and versions give the same bits again; a CPU takes "
        "hardly longer for it"
    )


def _choose(stack: ExitStack) -> None:
    cudnn, fill = torch.backends.cudnn, torch.utils.deterministic
    stack.callback(
        torch.use_deterministic_algorithms,
        torch.are_deterministic_algorithms_enabled(),
        warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
    )
    _set(stack, cudnn, "deterministic", True)
    _set(stack, cudnn, "benchmark", False)
    # Memory that is only reserved would be filled with a value; nothing here reads what it has not written.
    _set(stack, fill, "fill_uninitialized_memory", False)
    torch.use_deterministic_algorithms(True)


def _set(stack: ExitStack, place: Any, name: str, value: bool) -> None:
    stack.callback(setattr, place, name, getattr(place, name))
    setattr(place, name, value)


def _fix_workspace(stack: ExitStack) -> None:
    there = os.environ.get(_VARIABLE)
    if there is None:
        os.environ[_VARIABLE] = _FIXED[0]
        stack.callback(os.environ.pop, _VARIABLE, None)
    elif there not in _FIXED:
        raise ConfigError(
            f"training.deterministic=true: the environment has {_VARIABLE}={there}, with which cuBLAS may give other "
            f"bits each time; unset it, or set it to {' or '.join(_FIXED)}"
        )


def _check_workspace(device: torch.device) -> None:
    """torch reads the variable once, when a process first multiplies matrices on a GPU."""
    try:
        torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)
    except RuntimeError as error:
        if _VARIABLE not in str(error):
            raise
        raise ConfigError(
            f"training.deterministic=true: this process has multiplied matrices on a GPU before, without {_VARIABLE}; "
            f"start it with {_VARIABLE}={_FIXED[0]}"
        ) from error
