"""Rows one after the other: none that fails ends the run, and none begins when the time is up."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from detres.benchmarks.gpu.entries import Entry, Outcome
from detres.errors import raised_in

_LONGEST_NOTE = 300


def run_entries(
    entries: Sequence[Entry],
    device: torch.device,
    *,
    seconds: float,
    uncompiled: str = "",
    begin: Callable[[Entry], None] = lambda entry: None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Outcome]:
    """The outcome of each entry, in order.

    seconds: after these no further entry begins. uncompiled: why none begins that compiles, where that is so. begin:
    told of each that does. Where the device no longer answers, as after an illegal access, what follows is left out.
    """
    started, broken = clock(), ""
    for entry in entries:
        reason = broken or (uncompiled if entry.compiles else "")
        if not reason and clock() - started > seconds:
            reason = f"{seconds:g} s are over"
        if reason:
            yield Outcome(entry.name, "left out", batch=entry.batch, note=reason, peer=entry.peer)
            continue
        begin(entry)
        begun = clock()
        outcome = _attempt(entry, device)
        if outcome.state == "failed" and not _answers(device):
            broken = f"the device no longer answers after {entry.name}"
        yield replace(outcome, seconds=clock() - begun)


def _attempt(entry: Entry, device: torch.device) -> Outcome:
    """With half the images, and half of those, where the memory is too short."""
    batch = entry.batch
    while True:
        outcome = _once(entry, batch)
        # Only here is the error gone, and with it the frames that held tensors.
        _let_go(device)
        if outcome.state != "out of memory" or batch == 1:
            note = f"with {batch} images: {entry.batch} do not fit into the memory" if batch < entry.batch else ""
            return replace(outcome, note=outcome.note or note)
        batch //= 2


def _once(entry: Entry, batch: int) -> Outcome:
    try:
        return Outcome(entry.name, "measured", entry.measure(batch), batch, peer=entry.peer)
    except torch.OutOfMemoryError:
        return Outcome(entry.name, "out of memory", batch=batch, peer=entry.peer)
    except Exception as error:
        return Outcome(
            entry.name, "failed", batch=batch, note=raised_in(error, __file__)[:_LONGEST_NOTE], peer=entry.peer
        )


def _let_go(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda" and _answers(device):
        torch.cuda.empty_cache()


def _answers(device: torch.device) -> bool:
    """Whether the device still computes: an error of a kernel stays with the process."""
    try:
        return bool(torch.ones((), device=device).item() == 1)
    except torch.OutOfMemoryError:
        return True
    except RuntimeError:
        return False
