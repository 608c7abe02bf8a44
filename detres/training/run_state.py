"""All that a run goes on from, to and from a checkpoint.

*steps* are completed optimizer steps. *Raw* weights are those the optimizer moves, as opposed to their moving average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from detres.checkpoints.reading import Checkpoint
from detres.checkpoints.saving import Tell, save_checkpoint
from detres.errors import ConfigError, WeightsError
from detres.system_errors import out_of_memory
from detres.training.ema import MovingAverage
from detres.training.optimizers import load_optimizer
from detres.training.reactive_schedules import lower_is_better
from detres.training.schedules import Schedule


@dataclass(frozen=True)
class Best:
    """The best value of the metric that decides, and the step that had it."""

    metric: str
    value: float
    step: int


class RunState:
    """The parts of a run, its completed steps, the last step evaluated, the one finished after, and the best so far."""

    def __init__(
        self, model: nn.Module, optimizer: torch.optim.Optimizer, schedule: Schedule, ema: MovingAverage | None
    ) -> None:
        self.model, self.optimizer, self.schedule, self.ema = bare_model(model), optimizer, schedule, ema
        self.step = 0
        self.evaluated = 0
        self.finished = 0
        self.best: Best | None = None

    def save(self, folder: Path, metadata: Mapping[str, str], tell: Tell = lambda line: None) -> None:
        """Write the checkpoint: the averaged weights where there are any, the raw ones then beside the trainer.

        tell: told where the disk refuses and is asked again.
        """
        tensors, raw = self.model.state_dict(), {}
        if self.ema is not None:
            tensors, raw = tensors | self.ema.state_dict(), self.ema.raw_state_dict()
        trainer = {
            "step": self.step,
            "evaluated": self.evaluated,
            "finished": self.finished,
            "best": asdict(self.best) if self.best else None,
            "schedule": self.schedule.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "raw": raw,
        }
        save_checkpoint(folder, tensors, {**metadata, "step": str(self.step)}, trainer, tell=tell)

    def restore(self, checkpoint: Checkpoint) -> None:
        """Become what was saved; WeightsError where the checkpoint is another model's."""
        trainer = checkpoint.trainer
        try:
            self.model.load_state_dict(checkpoint.tensors | trainer["raw"])
            if self.ema is not None:
                self.ema.load_state_dict(checkpoint.tensors)
            load_optimizer(self.optimizer, trainer["optimizer"])
            self.schedule.load_state_dict(trainer["schedule"])
            self.step, self.evaluated = trainer["step"], trainer["evaluated"]
            self.finished = trainer.get("finished", 0)  # Runs of older versions had nothing to finish.
            self.best = Best(**trainer["best"]) if trainer["best"] else None
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            if out_of_memory(error):
                raise
            raise WeightsError(f"{checkpoint.path}: does not fit the model it is to go on with: {error}") from None

    def forget_evaluations(self) -> None:
        """As if nothing had been evaluated yet."""
        self.evaluated, self.best = 0, None

    def judge(self, metrics: Mapping[str, Any], metric: str) -> None:
        """Note the evaluation of this step, and the best so far; an undefined value (None) never is.

        Raises ConfigError where the metric was not measured.
        """
        if metric not in metrics:
            raise ConfigError(
                f"training.best_metric={metric}: the evaluation gave no such metric; it gave {', '.join(metrics)}"
            )
        self.evaluated = self.step
        value = metrics[metric]
        sign = -1.0 if lower_is_better(metric) else 1.0
        if value is not None and (self.best is None or sign * value > sign * self.best.value):
            self.best = Best(metric, float(value), self.step)


def bare_model(model: nn.Module) -> nn.Module:
    """The model within its wrappings (data-parallel, compiled), whose names the weights file has."""
    while True:
        if isinstance(model, DistributedDataParallel):
            model = model.module
        elif isinstance(model, torch._dynamo.OptimizedModule):
            model = model._orig_mod
        else:
            return model
