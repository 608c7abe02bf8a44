"""All that a run goes on from, to and from a checkpoint.

*steps* are completed optimizer steps. *Raw* weights are those the optimizer moves, as opposed to their moving average.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from detres.checkpoints.reading import Checkpoint
from detres.checkpoints.saving import Tell, save_checkpoint
from detres.errors import WeightsError
from detres.system_errors import out_of_memory
from detres.training.best import Best, better
from detres.training.ema import MovingAverage
from detres.training.loss_scaling import LossScaling
from detres.training.optimizers import load_optimizer
from detres.training.schedules import Schedule


class RunState:
    """The parts of a run, its completed steps, the last step evaluated, the one finished after, and the best so far.

    waited: evaluations in a row, up to the last, that were no better than the best.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: Schedule,
        ema: MovingAverage | None,
        scaling: LossScaling | None = None,
    ) -> None:
        self.model, self.optimizer, self.schedule, self.ema = bare_model(model), optimizer, schedule, ema
        self.scaling = scaling
        self.step = 0
        self.evaluated = 0
        self.finished = 0
        self.best: Best | None = None
        self.waited = 0

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
            "waited": self.waited,
            "schedule": self.schedule.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "raw": raw,
        }
        if self.scaling is not None:
            trainer["loss_scaling"] = self.scaling.state_dict()
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
            if self.scaling is not None:
                self.scaling.load_state_dict(trainer["loss_scaling"])
            self.step, self.evaluated = trainer["step"], trainer["evaluated"]
            self.finished = trainer.get("finished", 0)  # Runs of older versions had nothing to finish.
            self.best = Best(**trainer["best"]) if trainer["best"] else None
            self.waited = trainer.get("waited", 0)  # nor to wait for
        except (RuntimeError, ValueError, KeyError, TypeError) as error:
            if out_of_memory(error):
                raise
            raise WeightsError(f"{checkpoint.path}: does not fit the model it is to go on with: {error}") from None

    def forget_evaluations(self) -> None:
        """As if nothing had been evaluated yet."""
        self.evaluated, self.best, self.waited = 0, None, 0

    def judge(self, metrics: Mapping[str, Any], metric: str, *, counts: bool = True) -> None:
        """Note the evaluation of this step, and the best so far; an undefined value (None) never is.

        counts: whether the run waits one evaluation more where this is no better.
        Raises ConfigError where the metric was not measured.
        """
        found = better(self.best, metric, metrics, self.step)
        self.evaluated = self.step
        self.best, self.waited = (found, 0) if found else (self.best, self.waited + counts)


def bare_model(model: nn.Module) -> nn.Module:
    """The model within its wrappings (data-parallel, compiled), whose names the weights file has."""
    while True:
        if isinstance(model, DistributedDataParallel):
            model = model.module
        elif isinstance(model, torch._dynamo.OptimizedModule):
            model = model._orig_mod
        else:
            return model
