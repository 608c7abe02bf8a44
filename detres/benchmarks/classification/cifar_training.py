"""Images a second of training a CIFAR net: train_cls's own model, batches, optimizer and loop against the plain form.

Both sides draw their batches from the same random images; a *call* is an epoch of them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from detres.backbones.architectures import BACKBONES
from detres.benchmarks.classification.plain_cifar import (
    NORMALIZED,
    PlainResNet,
    plain_loader,
    plain_optimizer,
    plain_step,
)
from detres.benchmarks.contenders import Comparison, Contender, Makers, loss_of, measure
from detres.benchmarks.machine import Machine, Precision, count_operations, exact_float32
from detres.benchmarks.rows import Check, Row
from detres.benchmarks.timing import Plan
from detres.config.classification_schema import ClassificationConfig
from detres.config.loading import load_config, of_schema
from detres.reporter import SILENT
from detres.structures import ClassificationBatch
from detres.tasks.classification.training import CLASSIFICATION
from detres.tasks.runs.assembly import optimizer_of, schedule_of
from detres.tasks.runs.parts import Start, TrainingParts
from detres.training.loop import StepReport, train_steps

TARGETS = {"float32": 1.6, "bf16": 2.0}
_RATE = 0.1
# Of the losses of the first ten steps, relative, at a tenth of the rate: at the whole one a net that just begins makes
# a thousandth of what was rounding ten steps before, whichever way it is computed. bf16 has three digits.
_CHECKED_STEPS, _CHECKED_RATE = 10, 0.01
_TOLERANCE = {"float32": 5e-4, "bf16": 0.02}


@dataclass(frozen=True)
class CifarWork:
    """A recipe of configs/cifar10 on `steps` batches of random images.

    workers: of the plain form's DataLoader. targets: the ratios to be reached, by precision of ours; these precisions
    are timed. unit: of the rows. cuda_graphs: as the config has it, where it is compiled.
    """

    recipe: str = "cifar10_resnet20"
    batch: int = 128
    steps: int = 16
    workers: int = 2
    precisions: tuple[Precision, ...] = ("float32", "bf16")
    unit: Literal["images/s", "steps/s"] = "images/s"
    cuda_graphs: bool = False

    @property
    def images(self) -> int:
        return self.batch * self.steps

    @property
    def blocks(self) -> int:
        """Of a stage."""
        return BACKBONES[self.recipe].depths[0]

    @property
    def work(self) -> str:
        return f"{self.steps} steps of {self.batch} images a call; the plain form loads with {self.workers} workers"

    def pixels(self) -> NDArray[np.uint8]:
        return np.random.default_rng(0).integers(256, size=(self.images, 32, 32, 3), dtype=np.uint8)

    def labels(self) -> NDArray[np.int64]:
        return np.arange(self.images) % 10


def measure_cifar(machine: Machine, work: CifarWork, plan: Plan) -> list[Row]:
    """Rows of train_cls/RECIPE/…: against the plain form, and against its net alone on one batch that lies ready."""
    if machine.compile:
        torch.compiler.reset()  # The compiler gives up on a method that has been compiled for several nets.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_cifar10(folder, work)
        makers: Makers = {
            **{
                f"ours {precision}": partial(make_ours, folder, work, machine.device, precision, machine.compile)
                for precision in work.precisions
            },
            "plain float32": partial(make_plain, work, machine.device),
            "net_alone float32": partial(make_net_alone, work, machine.device),
        }
        checks: dict[str, Check] = {
            precision: same_losses(folder, work, machine.device, precision, machine.compile)
            for precision in work.precisions
        }
        contenders = {name: make() for name, make in makers.items()}
        comparison = Comparison(
            name=f"train_cls/{work.recipe}",
            work=work.work,
            images=work.images if work.unit == "images/s" else work.steps,
            operations=work.steps * count_operations(make_net_alone(replace(work, steps=1), machine.device)),
            peers=["plain", "net_alone"],
            targets=TARGETS if machine.device.type == "cpu" else {},
            checks=checks,
            unit=work.unit,
        )
        return measure(comparison, makers, contenders, machine, plan)


def write_cifar10(folder: Path, work: CifarWork) -> None:
    """The images and labels as CIFAR-10's binary batches."""
    planes = work.pixels().transpose(0, 3, 1, 2).reshape(work.images, -1)
    records = np.concatenate([work.labels().astype(np.uint8)[:, None], planes], axis=1)
    for number, part in enumerate(np.array_split(records, 5), start=1):
        part.tofile(folder / f"data_batch_{number}.bin")


# Ours


def config_of(
    folder: Path, work: CifarWork, precision: Precision, compile: bool, rate: float = _RATE
) -> ClassificationConfig:
    """The recipe as it is, on the images below the folder."""
    config = load_config(
        work.recipe,
        [
            f"data.root={folder}",
            "data.test=[]",
            f"optimizer.lr={rate}",
            f"training.batch={work.batch}",
            f"training.precision={precision}",
            f"training.compile={str(compile).lower()}",
            f"training.cuda_graphs={str(compile and work.cuda_graphs).lower()}",
        ],
    )
    return of_schema(config, ClassificationConfig)


def make_ours(folder: Path, work: CifarWork, device: torch.device, precision: Precision, compile: bool) -> Contender:
    """train_cls without its files: the same parts, and the losses read where a line would be written."""
    config = config_of(folder, work, precision, compile)
    parts = training_parts(config, folder, device)
    reports = our_steps(parts, config, device, every=config.training.log_every)
    return Contender(lambda: [next(reports) for _ in range(work.steps)])


def training_parts(config: ClassificationConfig, folder: Path, device: torch.device) -> TrainingParts:
    images = CLASSIFICATION.load(config, SILENT)
    return CLASSIFICATION.parts(config, images, Start(folder / "run"), device, SILENT)


def our_steps(
    parts: TrainingParts, config: ClassificationConfig, device: torch.device, every: int
) -> Iterator[StepReport]:
    """The loop, its losses read at `every` so-many-th step."""
    schedule, training = schedule_of(config), config.training
    return train_steps(
        parts.model,
        parts.batches(0),
        optimizer_of(parts.model, config),
        schedule.lr_at,
        steps=training.steps,
        accumulate=parts.accumulate,
        device=device,
        precision=training.precision,
        clip_norm=training.clip_norm,
        due=lambda step: step % every == 0,
        measured=schedule.measure,
        seed=training.seed,
    )


# The plain form


def make_plain(work: CifarWork, device: torch.device) -> Contender:
    """An epoch of its loader, as it comes."""
    loader = plain_loader(
        work.pixels(), work.labels(), batch=work.batch, workers=work.workers, pin_memory=device.type == "cuda"
    )
    model = PlainResNet(work.blocks).to(device)
    optimizer = plain_optimizer(model, lr=_RATE)

    def call() -> None:
        for images, labels in loader:
            plain_step(model, optimizer, images.to(device, non_blocking=True), labels.to(device, non_blocking=True))

    return Contender(call)


def make_net_alone(work: CifarWork, device: torch.device) -> Contender:
    """As many steps on one batch, which nobody loads."""
    images = normalized(torch.from_numpy(work.pixels()[: work.batch])).to(device)
    labels = torch.from_numpy(work.labels()[: work.batch]).to(device)
    model = PlainResNet(work.blocks).to(device)
    optimizer = plain_optimizer(model, lr=_RATE)
    return Contender(lambda: [plain_step(model, optimizer, images, labels) for _ in range(work.steps)])


def normalized(rgb: Tensor) -> Tensor:
    """uint8 RGB (N, 32, 32, 3) on the host -> float32 (N, 3, 32, 32), one by one, as the plain form does it."""
    return torch.stack([NORMALIZED(Image.fromarray(image)) for image in rgb.numpy()])


# Whether both do the same work


def same_losses(folder: Path, work: CifarWork, device: torch.device, precision: Precision, compile: bool) -> Check:
    """The losses of the first ten steps of ours, and of the plain net in float32 with its weights and its batches."""
    config = config_of(folder, work, precision, compile, rate=_CHECKED_RATE)
    parts = training_parts(config, folder, device)
    plain = PlainResNet(work.blocks).to(device)
    plain.load_state_dict(parts.model.state_dict())
    batches = list(islice(cast(Iterator[ClassificationBatch], parts.batches(0)), _CHECKED_STEPS))
    with exact_float32():
        ours = [loss_of(report) for report in islice(our_steps(parts, config, device, 1), len(batches))]
        optimizer = plain_optimizer(plain, lr=_CHECKED_RATE)
        theirs = [
            float(plain_step(plain, optimizer, normalized(batch.images.cpu()).to(device), batch.labels.to(device)))
            for batch in batches
        ]
    return compare_losses(ours, theirs, _TOLERANCE[precision])


def compare_losses(ours: Sequence[float], theirs: Sequence[float], tolerance: float) -> Check:
    """Whether they agree step by step, relative to theirs."""
    gaps = [abs(mine - other) / abs(other) for mine, other in zip(ours, theirs, strict=True)]
    moved = f"{theirs[0]:.4f} to {theirs[-1]:.4f}"
    # Not max(gaps) <= tolerance, which what is no number passes.
    passed = all(gap <= tolerance for gap in gaps)
    return Check(passed, f"losses of {len(theirs)} steps ({moved}) agree to {max(gaps):.1e}")
