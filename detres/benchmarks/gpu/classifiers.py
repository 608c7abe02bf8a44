"""Training classifiers on a GPU: ResNet-50 on a batch that lies there, and a CIFAR net whose set lies there."""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import torch

from detres.benchmarks.classification.cifar_training import (
    CifarWork,
    make_net_alone,
    make_ours,
    make_plain,
    write_cifar10,
)
from detres.benchmarks.classification.imagenet_training import (
    ImagenetWork,
    make_timm,
    make_torchvision,
)
from detres.benchmarks.classification.imagenet_training import make_ours as make_our_resnet
from detres.benchmarks.gpu.clock import Call
from detres.benchmarks.gpu.entries import Entry
from detres.benchmarks.gpu.measuring import Bench, Figures, Work, fresh_compiler, measure_call
from detres.benchmarks.machine import Precision, count_operations

# What the paper's nets are trained for on CIFAR-10.
CIFAR_STEPS = 64_000
_PEER = "torchvision_float32"
# Enough for batch norm, and for the operations of an image.
_COUNTED_IMAGES = 4


def resnet_entries(bench: Bench, work: ImagenetWork) -> list[Entry]:
    """Rows of classify/…; timm's net under our loop, torchvision's under the plain one."""
    device = bench.device
    makers: dict[str, tuple[Precision, Callable[[ImagenetWork], Call]]] = {
        "ours_bf16": ("bf16", lambda work: make_our_resnet(work, device, False)),
        "timm_bf16": ("bf16", lambda work: make_timm(work, device, False)),
        "torchvision_bf16_channels_last": ("bf16", lambda work: make_torchvision(work, device, "bf16")),
        _PEER: ("float32", lambda work: make_torchvision(work, device, "float32")),
    }
    return _resnet_entries(bench, work, makers, compiles=False)


def compiled_resnet_entries(bench: Bench, work: ImagenetWork) -> list[Entry]:
    """Of the same works as resnet_entries."""
    device = bench.device
    makers: dict[str, tuple[Precision, Callable[[ImagenetWork], Call]]] = {
        "ours_bf16_compiled": ("bf16", lambda work: make_our_resnet(work, device, True)),
        "timm_bf16_compiled": ("bf16", lambda work: make_timm(work, device, True)),
    }
    return _resnet_entries(bench, work, makers, compiles=True)


def _resnet_entries(
    bench: Bench,
    work: ImagenetWork,
    makers: Mapping[str, tuple[Precision, Callable[[ImagenetWork], Call]]],
    *,
    compiles: bool,
) -> list[Entry]:
    pictures = work.pictures
    return [
        Entry(
            name=f"classify/{pictures.backbone}/batch{pictures.images}/{name}",
            measure=partial(_measure_resnet, bench, work, make, precision, compiles),
            batch=pictures.images,
            peer=name == _PEER,
            compiles=compiles,
        )
        for name, (precision, make) in makers.items()
        if not name.startswith("timm") or importlib.util.find_spec("timm")
    ]


def _measure_resnet(
    bench: Bench,
    work: ImagenetWork,
    make: Callable[[ImagenetWork], Call],
    precision: Precision,
    compiles: bool,
    batch: int,
) -> Figures:
    of_batch = replace(work, pictures=replace(work.pictures, images=batch))
    images = batch * work.steps
    operations = images * operations_of_picture(replace(work, steps=1), bench.device)
    what = Work(images, work.steps, operations, precision, profiled=not compiles)
    with fresh_compiler(bench) if compiles else nullcontext():
        return measure_call(make(of_batch), bench, what)


@cache
def operations_of_picture(work: ImagenetWork, device: torch.device) -> float:
    """Floating-point operations of learning from one picture."""
    few = replace(work, pictures=replace(work.pictures, images=_COUNTED_IMAGES), steps=1)
    return count_operations(make_torchvision(few, device, "float32")) / _COUNTED_IMAGES


def cifar_entries(bench: Bench, work: CifarWork) -> list[Entry]:
    """Rows of cifar/…: train_cls's own model, batches and loop on a set that lies on the device, and the plain form.

    The batch is the recipe's, so it is never halved.
    """
    device = bench.device
    makers: dict[str, tuple[Precision, Callable[[Path], Call]]] = {
        "ours_float32": ("float32", lambda folder: make_ours(folder, work, device, "float32", False)),
        "plain_float32": ("float32", lambda folder: make_plain(work, device)),
        "plain_net_alone": ("float32", lambda folder: make_net_alone(work, device)),
        "ours_bf16": ("bf16", lambda folder: make_ours(folder, work, device, "bf16", False)),
    }
    return [_cifar_entry(bench, work, name, *maker) for name, maker in makers.items()]


def compiled_cifar_entries(bench: Bench, work: CifarWork) -> list[Entry]:
    """In the recipe's precision, with CUDA graphs on a GPU."""

    def make(folder: Path) -> Call:
        return make_ours(folder, work, bench.device, "float32", True)

    name = f"ours_float32_compiled{'_cuda_graphs' if work.cuda_graphs else ''}"
    return [_cifar_entry(bench, work, name, "float32", make, compiles=True)]


def _cifar_entry(
    bench: Bench,
    work: CifarWork,
    name: str,
    precision: Precision,
    make: Callable[[Path], Call],
    compiles: bool = False,
) -> Entry:
    return Entry(
        name=f"cifar/{work.recipe}/batch{work.batch}/{name}",
        measure=partial(_measure_cifar, bench, work, make, precision, compiles),
        peer=name == "plain_float32",
        compiles=compiles,
    )


def _measure_cifar(
    bench: Bench, work: CifarWork, make: Callable[[Path], Call], precision: Precision, compiles: bool, _: int
) -> Figures:
    operations = work.steps * operations_of_cifar_step(replace(work, steps=1), bench.device)
    with tempfile.TemporaryDirectory() as name, fresh_compiler(bench) if compiles else nullcontext():
        folder = Path(name)
        write_cifar10(folder, work)
        what = Work(work.images, work.steps, operations, precision, profiled=not compiles)
        figures = measure_call(make(folder), bench, what)
    milliseconds = figures["ms"]
    assert isinstance(milliseconds, float)
    return figures | {
        "steps_per_s": 1e3 / milliseconds,
        "minutes_for_64k_steps": CIFAR_STEPS * milliseconds / 1e3 / 60,
    }


@cache
def operations_of_cifar_step(work: CifarWork, device: torch.device) -> int:
    return count_operations(make_net_alone(work, device))
