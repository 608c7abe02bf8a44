"""All benchmarks by name, at full size, at a size for a quick look, and as they fit the device."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from detres.benchmarks.annotations import AnnotationFile, measure_annotations
from detres.benchmarks.backbone import Pictures, measure_backbone
from detres.benchmarks.classification.cifar_training import CifarWork, measure_cifar
from detres.benchmarks.classification.data import WORKS, CropWork, measure_crops
from detres.benchmarks.classification.deep_training import MemoryWork, measure_deep_training
from detres.benchmarks.classification.imagenet_training import ImagenetWork, measure_imagenet
from detres.benchmarks.data import Photos, measure_detection_data
from detres.benchmarks.detector import measure_detector
from detres.benchmarks.evaluation import Results, measure_evaluation
from detres.benchmarks.looks import LooksWork, measure_looks
from detres.benchmarks.machine import Machine
from detres.benchmarks.report import measure_report
from detres.benchmarks.rows import Row
from detres.benchmarks.scenes import Scene
from detres.benchmarks.timing import Plan
from detres.benchmarks.train import measure_train
from detres.benchmarks.worker_time import Worker, one_thread
from detres.data.loading.loader import settle_worker
from detres.errors import ConfigError
from detres.lookup import nearest


@dataclass(frozen=True)
class Part:
    """A benchmark. on_cpu, on_gpu: the full work there. quick: a small one, for a look at whether all is in order.

    on_device: whether it runs on the device at all; loading and evaluating are work of the CPU. in_all: whether "all"
    means it, too; what takes minutes for one figure is to be asked for.
    """

    measure: Callable[[Machine, Any, Plan], list[Row]]
    on_cpu: Any
    on_gpu: Any
    quick: Any
    plan: Plan
    on_device: bool = True
    in_all: bool = True


@dataclass(frozen=True)
class Loading:
    """What is read for a detector, and for a classifier."""

    photos: Photos
    crops: Sequence[CropWork]


def measure_data(machine: Machine, loading: Loading, plan: Plan) -> list[Row]:
    """The rows of data/, each side in a worker process set up as its loader sets one up."""
    with Worker(settle_worker) as ours, Worker(one_thread) as theirs:
        rows = measure_detection_data(loading.photos, ours, theirs, plan)
        return rows + [measure_crops(work, ours, theirs, plan) for work in loading.crops]


@dataclass(frozen=True)
class ClassifierTraining:
    """CIFAR nets from the data set on, and an ImageNet net whose batch lies ready, for devices that it is meant for."""

    cifar: Sequence[CifarWork]
    imagenet: ImagenetWork | None = None


def measure_train_cls(machine: Machine, training: ClassifierTraining, plan: Plan) -> list[Row]:
    """The rows of train_cls/."""
    rows = [] if training.imagenet is None else measure_imagenet(machine, training.imagenet, plan)
    return [*rows, *itertools.chain.from_iterable(measure_cifar(machine, work, plan) for work in training.cifar)]


# Compiled in one precision only, that of the recipes, so that all takes less than eight minutes.
_ON_GPU = CifarWork(steps=100, workers=8, precisions=("float32",), unit="steps/s", cuda_graphs=True)

PARTS: dict[str, Part] = {
    "backbone": Part(
        measure_backbone,
        on_cpu=Pictures(),
        on_gpu=Pictures(images=128),
        quick=Pictures("resnet18", images=4, side=96),
        plan=Plan(rounds=7, seconds=60, memory=False),
    ),
    "detector": Part(
        measure_detector,
        on_cpu=Scene(),
        on_gpu=Scene(images=8),
        quick=Scene("resnet18", 192, 256),
        plan=Plan(rounds=9, seconds=60),
    ),
    "train": Part(
        measure_train,
        on_cpu=Scene(images=2),
        on_gpu=Scene(images=8),
        quick=Scene("resnet18", 192, 256),
        plan=Plan(rounds=7, seconds=150),
    ),
    "train_cls": Part(
        measure_train_cls,
        on_cpu=ClassifierTraining([CifarWork()]),
        on_gpu=ClassifierTraining(
            [replace(_ON_GPU, recipe=f"cifar10_resnet{depth}") for depth in (20, 56, 110)],
            ImagenetWork(Pictures(images=256)),
        ),
        quick=ClassifierTraining(
            [CifarWork(batch=32, steps=2)], ImagenetWork(Pictures("resnet18", images=4, side=64), steps=2)
        ),
        plan=Plan(rounds=7, seconds=90, memory=False),
    ),
    "train_cls_memory": Part(
        measure_deep_training,
        on_cpu=MemoryWork(CifarWork("cifar10_resnet1202")),
        on_gpu=MemoryWork(CifarWork("cifar10_resnet1202")),
        quick=MemoryWork(CifarWork("cifar10_resnet110", batch=8)),
        plan=Plan(),
        on_device=False,
        in_all=False,
    ),
    "test": Part(
        measure_looks,
        on_cpu=LooksWork(),
        on_gpu=LooksWork(),
        quick=LooksWork("coco_r50", 200, ("model.backbone.name=resnet18", "data.shortest_side=100")),
        plan=Plan(rounds=3, seconds=120),
        in_all=False,
    ),
    "data": Part(
        measure_data,
        on_cpu=Loading(Photos(), WORKS),
        on_gpu=Loading(Photos(), WORKS),
        quick=Loading(Photos(count=8), [replace(work, count=4) for work in WORKS]),
        plan=Plan(rounds=7),
        on_device=False,
    ),
    "annotations": Part(
        measure_annotations,
        on_cpu=AnnotationFile(),
        on_gpu=AnnotationFile(),
        quick=AnnotationFile(images=1000, boxes=7000),
        plan=Plan(rounds=3, warm_up=False),
        on_device=False,
        in_all=False,
    ),
    "eval": Part(
        measure_evaluation,
        on_cpu=Results(),
        on_gpu=Results(),
        quick=Results(images=100),
        plan=Plan(rounds=3, warm_up=False),
        on_device=False,
    ),
    "report": Part(
        measure_report,
        on_cpu=Results(),
        on_gpu=Results(),
        quick=Results(images=100),
        plan=Plan(rounds=3, warm_up=False),
        on_device=False,
        in_all=False,
    ),
}

_QUICK_PLAN = Plan(rounds=3, memory=False)


def parts_named(names: Sequence[str], device: torch.device) -> list[str]:
    """The parts that `names` mean, in order. ConfigError for a name of none.

    "all" leaves out what is to be asked for, and on a GPU what runs on none.
    """
    for name in names:
        if name not in (*PARTS, "all"):
            close = nearest(name, PARTS)
            mend = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(PARTS)} and all"
            raise ConfigError(f"benchmark {name!r} is unknown; {mend}")
    if "all" not in names:
        return list(dict.fromkeys(names))
    return [name for name, part in PARTS.items() if part.in_all and (device.type == "cpu" or part.on_device)]


def run_part(name: str, machine: Machine, *, quick: bool) -> list[Row]:
    """The rows of one part."""
    part = PARTS[name]
    if quick:
        return part.measure(machine, part.quick, _QUICK_PLAN)
    return part.measure(machine, part.on_cpu if machine.device.type == "cpu" else part.on_gpu, part.plan)
