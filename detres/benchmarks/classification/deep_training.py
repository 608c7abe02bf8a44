"""Peak memory of training the deepest CIFAR net, whose blocks are computed anew in the backward pass."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from detres.benchmarks.classification.cifar_training import CifarWork, make_ours, write_cifar10
from detres.benchmarks.machine import Machine
from detres.benchmarks.memory import peak_of_process
from detres.benchmarks.rows import Row
from detres.benchmarks.timing import Plan


@dataclass(frozen=True)
class MemoryWork:
    """A recipe, of which a step shall take less than `limit` MiB."""

    training: CifarWork
    limit: float = 8 * 1024


def measure_deep_training(machine: Machine, work: MemoryWork, plan: Plan) -> list[Row]:
    """The row train_cls/RECIPE/memory: two steps in a process of their own, the second of which finds momenta there.

    On the processor, whatever the machine's device, and without the compiler, which has memory of its own.
    """
    one_step = replace(work.training, steps=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cifar10(folder, work.training)
        make = partial(make_ours, folder, one_step, torch.device("cpu"), "float32", compile=False)
        peak = peak_of_process(make, machine.threads)
    return [
        Row(
            name=f"train_cls/{one_step.recipe}/memory",
            ours=peak,
            peer=work.limit,
            unit="MiB",
            peer_name="what was asked for",
            work=f"a step of {one_step.batch} images in float32, the recipe as it is",
            target=1.0,
        )
    ]
