"""A toy classifier trained by detres.training, also as a program that can be killed: python toy_run.py '{"run": …}'."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from detres.distributed import barrier, data_parallel, is_main, process_group, rank, world_size
from detres.draws import Purpose, torch_generator
from detres.structures import ClassificationBatch
from detres.training.ema import MovingAverage
from detres.training.finite import NonFiniteLoss
from detres.training.interrupts import Interrupted
from detres.training.logging.logger import Logger
from detres.training.logging.making import make_loggers
from detres.training.optimizers import build_optimizer
from detres.training.resuming import checkpoint_to_resume, settle
from detres.training.running import Finished, Intervals, Run, run_training
from detres.training.schedule_building import build_schedule

CLASSES, SIDE, BATCH = 3, 6, 8


class ToyClassifier(nn.Module):
    """A convolution, batch norm where asked for, dropout, a linear layer."""

    def __init__(self, norm: bool = True, dropout: float = 0.2, bad_image: int | None = None) -> None:
        super().__init__()
        self.bad_image = bad_image
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(3)
            self.conv = nn.Conv2d(3, 8, 3, padding=1)
            self.norm = nn.BatchNorm2d(8) if norm else nn.Identity()
            self.dropout = nn.Dropout(dropout)
            self.fc = nn.Linear(8, CLASSES)

    def logits(self, images: Tensor) -> Tensor:
        pixels = images.permute(0, 3, 1, 2).to(self.fc.weight.dtype) / 255 - 0.5
        return self.fc(self.dropout(self.norm(self.conv(pixels)).relu().mean(dim=(2, 3))))

    def forward(self, batch: ClassificationBatch) -> dict[str, Tensor]:
        logits = self.logits(batch.images)
        loss = nn.functional.cross_entropy(logits, batch.labels)
        error = (logits.detach().argmax(dim=1) != batch.labels).float().mean()
        return {"loss": loss * float("nan") if self.bad_image in batch.image_ids else loss, "top1_error": error}


def toy_batch(step: int) -> ClassificationBatch:
    """The global batch of a step; a class is a brightness."""
    generator = torch_generator(0, Purpose.DATA_SET, step)
    labels = torch.randint(CLASSES, (BATCH,), generator=generator)
    noise = torch.randint(80, (BATCH, SIDE, SIDE, 3), generator=generator)
    ids = tuple(range(step * BATCH, (step + 1) * BATCH))
    return ClassificationBatch((noise + 60 * labels[:, None, None, None]).to(torch.uint8), labels, ids)


def toy_batches(start_step: int, accumulate: int, kill_at: int | None = None) -> Iterator[ClassificationBatch]:
    """This rank's micro-batches; the process kills itself before it hands out the first of step kill_at."""
    step = start_step
    while True:
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        whole = toy_batch(step)
        size = BATCH // (world_size() * accumulate)
        for micro in range(accumulate):
            place = rank() * accumulate + micro
            part = slice(place * size, (place + 1) * size)
            yield ClassificationBatch(whole.images[part], whole.labels[part], whole.image_ids[part])
        step += 1


def train_toy(
    run: str | Path,
    *,
    steps: int = 20,
    accumulate: int = 2,
    norm: bool = True,
    dropout: float = 0.2,
    double: bool = False,
    ema: float = 0.9,
    name: str = "sgd",
    clip_norm: float | None = 1.0,
    precision: str = "float32",
    kill_at: int | None = None,
    kill_rank: int | None = None,
    resume: bool = False,
    checkpoint: int = 4,
    keep: int | None = None,
    evaluate: int | None = 5,
    interrupt_at: int | None = None,
    bad_image: int | None = None,
    best_metric: str = "top1_error",
    schedule: dict[str, object] | None = None,
    log: int = 3,
    logs: Sequence[Logger] = (),
    measure: Callable[[int], Mapping[str, float | None]] | None = None,
    **arguments: object,
) -> Finished:
    if is_main():
        settle(Path(run))
    barrier()
    model = ToyClassifier(norm, dropout, bad_image).to(torch.float64 if double else torch.float32)
    average = MovingAverage(model, ema) if ema else None
    wrapped = data_parallel(model, torch.device("cpu"))

    def measured(step: int) -> dict[str, float | None]:
        if step == interrupt_at and rank() == world_size() - 1:
            os.kill(os.getpid(), signal.SIGTERM)
        model.eval()
        batch = toy_batch(10_000)
        with torch.no_grad():
            hits = (model.logits(batch.images).argmax(1) == batch.labels).float().mean().item()
        return {"top1_error": 1 - hits, "undefined": None}

    plan = Run(
        Path(run),
        steps,
        torch.device("cpu"),
        accumulate=accumulate,
        precision=precision,
        clip_norm=clip_norm,
        intervals=Intervals(log=log, checkpoint=checkpoint, keep=keep, evaluate=evaluate),
        best_metric=best_metric,
        metadata={"recipe": "toy"},
        **{"evaluate": (measure or measured) if evaluate else None, **arguments},
    )
    return run_training(
        plan,
        wrapped,
        build_optimizer(model, name=name, lr=0.05, norm_weight_decay=0.0),
        build_schedule(0.05, 20, **(schedule or {"name": "cosine", "warmup_steps": 3})),
        lambda step: toy_batches(step, accumulate, kill_at if kill_rank in (None, rank()) else None),
        ema=average,
        checkpoint=checkpoint_to_resume(Path(run), resume),
        logs=[*make_loggers(()), *logs],
    )


def main() -> int:
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")):
        try:
            train_toy(**json.loads(sys.argv[1]))
        except NonFiniteLoss as error:
            print(error, flush=True)
            return 2
        except Interrupted as stopped:
            print(stopped, flush=True)
            return 130
    return 0


if __name__ == "__main__":
    # As commands end where there are several ranks.
    os._exit(main())
