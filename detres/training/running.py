"""A whole run: the loop's reports, and the plain code around them that logs, checkpoints, evaluates and goes on.

At a step where several things are due, their order is: write the line, finish the model where it was the last step,
save `last`, evaluate, save `last` again with what the evaluation changed, link `best`, publish it. A run killed
anywhere between them does what is left when it goes on, so that it ends as one that was never cut.

*steps* are completed optimizer steps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import nn

from detres.checkpoints.reading import existing_checkpoint, load_checkpoint
from detres.checkpoints.saving import link_checkpoint, step_name
from detres.distributed import barrier, broadcast_from_main, is_main
from detres.files.patience import patiently
from detres.precision import Precision
from detres.training.ema import MovingAverage
from detres.training.finite import NonFiniteLoss
from detres.training.interrupts import AskedToStop, Interrupted, Interrupts
from detres.training.logging.logger import Logger, RunStart
from detres.training.logging.logs import Logs, Pictures
from detres.training.loop import Batch, StepReport, train_steps
from detres.training.loss_scaling import LossScaling
from detres.training.run_state import Best, RunState
from detres.training.schedules import Schedule
from detres.words import number_of

Evaluate = Callable[[int], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Intervals:
    """Every how many steps something is done. The last step is always logged, saved, and evaluated where `evaluate`
    is given; keep: a checkpoint that stays; None: never.
    """

    log: int = 20
    checkpoint: int = 5000
    keep: int | None = None
    evaluate: int | None = None


@dataclass(frozen=True)
class Finished:
    """A run that came to its end: its completed steps, its best evaluation if there was one.

    waited: the evaluations in vain after which it stopped early; 0 where it did not.
    """

    step: int
    best: Best | None
    waited: int = 0


@dataclass(frozen=True)
class Run:
    """How a run goes, from its first step to its last: the same on every rank.

    folder: what it leaves lies there. device, accumulate, precision, clip_norm, seed: as train_steps takes them.
    evaluate: called on every rank after a step, with the averaged weights in the model where there are any; what it
        returns on the main rank counts. It may leave the model in evaluation mode. best_metric: the key of it that
        decides which checkpoint is best.
    patience: evaluations in a row without a better one after which the run stops early; None: it never does. What
        intervals.evaluate asks for counts, and the last step's own evaluation does not. Nothing is finished then.
    finish: called on every rank once the last step is done, with the averaged weights in the model where there are any;
        what it changes of the model is saved and evaluated (of a model with averages, theirs).
    publish: called on the main rank with the folder of every new best checkpoint.
    metadata: goes into every model.safetensors, which shall be enough to rebuild the model.
    best_counts: whether what a checkpoint was found to be worth still holds, as it does of the same images only.
    pictures: of the last evaluation, by name, for loggers; asked on the main rank, where one takes pictures.
    config: resolved, for loggers.
    """

    folder: Path
    steps: int
    device: torch.device
    accumulate: int = 1
    precision: Precision = "float32"
    clip_norm: float | None = None
    seed: int = 0
    intervals: Intervals = Intervals()
    evaluate: Evaluate | None = None
    best_metric: str = "AP"
    patience: int | None = None
    finish: Callable[[], None] | None = None
    publish: Callable[[Path], None] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    best_counts: bool = True
    pictures: Pictures | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def run_training(
    run: Run,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    make_batches: Callable[[int], Iterator[Batch]],
    *,
    ema: MovingAverage | None = None,
    checkpoint: Path | None = None,
    logs: Sequence[Logger] = (),
    terminal: TextIO | None = None,
) -> Finished:
    """Train to the run's last step, from `checkpoint` where it goes on from one (resuming.py finds it).

    model, optimizer, ema: as train_steps takes them. make_batches: this rank's endless micro-batches from the first of
    a step on. logs: told of it on the main rank. terminal: where to show progress; None: nowhere.
    Raises UserError where the checkpoint cannot be read, or none be written; NonFiniteLoss; Interrupted.
    """
    scaling = LossScaling(run.device) if run.precision == "float16" else None
    state = RunState(model, optimizer, schedule, ema, scaling)
    if checkpoint is not None:
        state.restore(load_checkpoint(checkpoint))
        if not run.best_counts:
            state.forget_evaluations()
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts())
        start = RunStart(run.folder, run.config, run.steps, state.step, state.evaluated, state.best)
        told = Logs(start, logs, terminal)
        stack.callback(told.close)
        keeper = _Keeper(run, state, model, told, interrupts)
        if checkpoint is not None:
            told.event(state.step, f"goes on from {checkpoint}")
        keeper.catch_up()
        reports = train_steps(
            model,
            make_batches(state.step) if state.step < run.steps and not keeper.out_of_patience else iter(()),
            optimizer,
            schedule.lr_at,
            steps=run.steps,
            start_step=state.step,
            accumulate=run.accumulate,
            device=run.device,
            precision=run.precision,
            clip_norm=run.clip_norm,
            ema=ema,
            scaling=scaling,
            due=keeper.due,
            measured=schedule.measure,
            seed=run.seed,
        )
        try:
            for report in () if keeper.out_of_patience else reports:
                keeper.after_step(report)
                if keeper.out_of_patience:
                    break
        except NonFiniteLoss as error:
            told.event(error.step, error.what)
            raise NonFiniteLoss(error.what, error.step, error.image_ids, existing_checkpoint(run.folder)) from None
    return Finished(state.step, state.best, state.waited if keeper.out_of_patience else 0)


@dataclass
class _Keeper:
    """Does what is due after a step."""

    run: Run
    state: RunState
    model: nn.Module
    logs: Logs
    interrupts: Interrupts
    stopping: bool = False

    def catch_up(self) -> None:
        """What the step gone on from still lacks because the run was cut after it was saved."""
        if is_main() and self.state.step:
            self._name()
        barrier()
        if self._finish_if_due():
            self._save()
        self._evaluate_if_due()

    def due(self, step: int) -> bool:
        """Whether anything is to be done after the step; asked once a step on every rank."""
        self.stopping = self.interrupts.agreed()
        return self.stopping or step % self.run.intervals.log == 0 or self._saves(step)

    @property
    def out_of_patience(self) -> bool:
        """Whether the run stops before its last step because it no longer gets better."""
        patience, state = self.run.patience, self.state
        return patience is not None and state.waited >= patience and state.step < self.run.steps

    def after_step(self, report: StepReport) -> None:
        self.state.step = report.step
        self.logs.report(report)
        self._finish_if_due()
        if self.stopping or self._saves(report.step):
            self._save()
        unfinished = report.step < self.run.steps or self._evaluates(report.step)
        if self.stopping and unfinished:
            raise self._interrupted()
        self._evaluate_if_due()

    def _interrupted(self) -> Interrupted:
        name = self.interrupts.signal_name or "another process's signal"
        error = Interrupted(name, self.state.step, self.run.folder / "checkpoints" / "last")
        self.logs.event(self.state.step, str(error))
        return error

    def _finish_if_due(self) -> bool:
        """After the last step, once; a run that was saved earlier and then made shorter is finished when it goes on."""
        step = self.state.step
        if self.run.finish is None or step != self.run.steps or self.state.finished == step:
            return False
        averages = self.state.ema
        with averages.applied() if averages is not None else nullcontext():
            self.run.finish()
            if averages is not None:
                averages.load_state_dict(self.state.model.state_dict())
        self.model.train()
        self.state.finished = step
        self.state.evaluated = min(self.state.evaluated, step - 1)
        return True

    def _evaluate_if_due(self) -> None:
        """Evaluate the state's step unless that was done already; keep the best."""
        step = self.state.step
        if not self._evaluates(step) or self.state.evaluated == step:
            return
        assert self.run.evaluate is not None, "_evaluates says so"
        try:
            with self.interrupts.at_once(), self.state.ema.applied() if self.state.ema is not None else nullcontext():
                metrics = broadcast_from_main(self.run.evaluate(step))
        except AskedToStop:
            raise self._interrupted() from None
        self.model.train()
        # Not what only the end of the run asked for, lest a run that is made longer went otherwise.
        every = self.run.intervals.evaluate
        regular = bool(every and step % every == 0)
        if regular:
            self.state.schedule.observe(step, metrics)
        self.logs.evaluation(step, metrics)
        if self.run.pictures is not None:
            self.logs.pictures(step, self.run.pictures)
        self.state.judge(metrics, self.run.best_metric, counts=regular)
        self._save()
        if self.out_of_patience:
            waited = number_of(self.state.waited, "evaluation")
            self.logs.event(step, f"stops early: {waited} in a row without a better one than the best")

    def _saves(self, step: int) -> bool:
        every = (self.run.intervals.checkpoint, self.run.intervals.keep)
        return step == self.run.steps or any(n and step % n == 0 for n in every) or self._evaluates(step)

    def _evaluates(self, step: int) -> bool:
        every = self.run.intervals.evaluate
        at_step = step == self.run.steps or bool(every and step % every == 0)
        return self.run.evaluate is not None and step > 0 and at_step

    def _save(self) -> None:
        """Save `last` and name it. Other ranks wait: one that left would end the main rank while it writes."""
        if is_main():
            self.state.save(self._folder("last"), self.run.metadata, self._tell)
            self._name()
        barrier()

    def _name(self) -> None:
        """Let `last` also lie under its step's name where that is to be kept, and as `best` where it is."""
        step, keep = self.state.step, self.run.intervals.keep
        if keep and step % keep == 0:
            link_checkpoint(self._folder("last"), self._folder(step_name(step)), tell=self._tell)
        if self.state.best is not None and self.state.best.step == step:
            link_checkpoint(self._folder("last"), best := self._folder("best"), tell=self._tell)
            if self.run.publish is not None:
                patiently(
                    partial(self.run.publish, best),
                    self.run.folder,
                    "what is made of the best checkpoint",
                    tell=self._tell,
                )

    def _tell(self, line: str) -> None:
        """A line about a disk that refuses."""
        self.logs.event(self.state.step, line)

    def _folder(self, name: str) -> Path:
        return self.run.folder / "checkpoints" / name
