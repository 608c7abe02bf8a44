"""One training run, from a config to a folder of checkpoints."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from detres.checkpoints.reading import completed_steps, find_checkpoint, has_checksum
from detres.checkpoints.saving import MODEL_FILE
from detres.config.difference import check_resumable
from detres.config.epochs import asks_for_epochs
from detres.config.lengths import steps_of
from detres.config.loading import AnyConfig, dump_config
from detres.devices import check_precision, described, unused_gpu
from detres.distributed import (
    barrier,
    broadcast_from_main,
    data_parallel,
    is_main,
    local_device,
    process_group,
    world_size,
)
from detres.errors import ConfigError, UserError
from detres.files.names import safe_name
from detres.files.patience import patiently
from detres.files.whole import write_whole
from detres.reporter import SILENT, Reporter
from detres.tables import TRAININGS
from detres.tasks.runs.assembly import in_steps, optimizer_of, schedule_of
from detres.tasks.runs.output_folders import make_folder
from detres.tasks.runs.parts import Start, TrainingParts
from detres.tasks.runs.run_config import CONFIG_FILE, run_config
from detres.training.deterministic import deterministic, what_it_costs
from detres.training.ema import MovingAverage
from detres.training.logging.logger import Logger
from detres.training.logging.making import check_logger, make_loggers
from detres.training.logging.metric_log import what_is_lost
from detres.training.resuming import checkpoint_to_resume, set_aside_log, settle
from detres.training.run_lock import only_run_in
from detres.training.running import Finished, Intervals, Run, run_training
from detres.words import number_of

if TYPE_CHECKING:
    from detres.tasks.runs.opened_model import OpenedModel


def train(
    config: AnyConfig,
    out: str | Path | None = None,
    *,
    weights: str | Path | OpenedModel | None = None,
    resume: bool = False,
    device: str | None = None,
    logs: Sequence[Logger] = (),
    reporter: Reporter = SILENT,
) -> Path:
    """Train the config's model; returns the run's folder, runs/RECIPE unless `out` names another.

    weights: a model of the same task to start from; classes are matched by name. resume: go on where the folder has a
    checkpoint. logs: told of the run on the main rank, besides those of training.logs. reporter: told what was loaded
    and left out, and given the terminal for the live line.
    Raises UserError; training.interrupts.Interrupted after the checkpoint of a run that was asked to stop.
    """
    where, run = local_device(device), Path(out or f"runs/{safe_name(config.recipe or config.task)}")
    check_precision(config.training.precision, where, "training.precision")
    if config.data.root is not None and os.path.realpath(run) == os.path.realpath(config.data.root):
        raise ConfigError(f"--out {run}: it is the folder of the images (data.root); name another for the run")
    with process_group(where), deterministic(config.training.deterministic, where), ExitStack() as stack:
        if not is_main():
            reporter = SILENT
        loggers = _loggers_on_main(config, logs)
        if "json" not in config.training.logs:
            reporter.say("training.logs: metrics.jsonl is written all the same; --resume, doctor and analyze read it")
        found = _found_on_main(run, resume, stack)
        task, images = TRAININGS[config.task], None
        if asks_for_epochs(config):
            images = task.load(config, reporter)
            config = in_steps(config, len(images), reporter)
        if found:
            _check_config(run, config, reporter)
            if not has_checksum(found):
                reporter.say(
                    f"{found}: its weights have no checksum, as older versions wrote them, so damage may go unnoticed"
                )
        if found and (done := completed_steps(found)) > config.training.steps:
            reporter.say(
                f"{run}: {done} steps are done, and training.steps={config.training.steps} asks for fewer, so nothing "
                "was left to do"
            )
            return run
        if found and is_main() and (lost := what_is_lost(run, completed_steps(found), config.training.log_every)):
            reporter.say(f"warning: {lost}; the run goes on")
        if found and weights is not None:
            reporter.say(f"goes on from {found}; --weights counts for nothing")
        start = Start(run, found / MODEL_FILE if found else None, weights)
        if images is None:  # Else they were needed earlier.
            images = task.load(config, reporter)
        parts = task.parts(config, images, start, where, reporter)
        if config.schedule.name == "plateau" and parts.evaluate is None:
            raise ConfigError(
                "schedule.name=plateau waits for evaluations, and there is nothing to evaluate on; name a split with "
                "data.val or data.test, or take schedule.name=step"
            )
        if is_main():
            write_whole(run / CONFIG_FILE, dump_config(config))
            if found is None and (lines := set_aside_log(run)):
                reporter.say(
                    f"{run}: {lines} lines were logged here and no checkpoint is left, so it begins at step 0; the "
                    "lines are kept in metrics.before.jsonl"
                )
            if device is None and where.type == "cpu" and (why := unused_gpu()):
                reporter.say(f"warning: {why}")
        reporter.say(f"device: {described(where, world_size())}")
        if config.training.deterministic:
            reporter.say(what_it_costs(where))
        finished = _run(parts, config, run, where, found, loggers, reporter)
        if is_main() and parts.publish is not None:
            patiently(
                partial(parts.publish, find_checkpoint(run)),
                run,
                "what is made of the best checkpoint",
                tell=reporter.say,
            )
        barrier()  # A rank that left would end the main one while it writes.
    _say_finished(finished, run, reporter)
    return run


def _run(
    parts: TrainingParts,
    config: AnyConfig,
    folder: Path,
    device: torch.device,
    checkpoint: Path | None,
    loggers: Sequence[Logger],
    reporter: Reporter,
) -> Finished:
    training = config.training
    plan = Run(
        folder,
        training.steps,
        device,
        accumulate=parts.accumulate,
        precision=training.precision,
        clip_norm=training.clip_norm,
        seed=training.seed,
        intervals=Intervals(
            training.log_every,
            steps_of(training.checkpoint_every),
            steps_of(training.keep_every) if training.keep_every else None,
            steps_of(training.eval_every) if training.eval_every else None,
        ),
        evaluate=parts.evaluate,
        best_metric=training.best_metric,
        patience=training.patience,
        finish=parts.finish,
        publish=parts.publish,
        metadata=parts.metadata,
        best_counts=parts.best_counts,
        pictures=parts.pictures,
        config=config.model_dump(mode="json"),
    )
    ema = MovingAverage(parts.model, training.ema) if training.ema else None
    optimizer, schedule = optimizer_of(parts.model, config), schedule_of(config)
    try:
        return run_training(
            plan,
            data_parallel(parts.model, device),
            optimizer,
            schedule,
            parts.batches,
            ema=ema,
            checkpoint=checkpoint,
            logs=loggers,
            terminal=reporter.terminal,
        )
    finally:  # Said however the run ends; each rank's own workers have met their own.
        for warning in parts.warnings():
            reporter.say(f"warning: {warning}")


def _loggers_on_main(config: AnyConfig, own: Sequence[Logger]) -> list[Logger]:
    """Those of the config and the caller's own; none on other ranks, which raise what the main one raises."""
    loggers: list[Logger] = []
    error = None
    if is_main():
        try:
            given = [check_logger(logger, f"logs[{place}]") for place, logger in enumerate(own)]
            loggers = [*make_loggers(config.training.logs), *given]
        except UserError as refusal:
            error = refusal
    if (told := broadcast_from_main(error)) is not None:
        raise told
    return loggers


def _found_on_main(run: Path, resume: bool, stack: ExitStack) -> Path | None:
    """What checkpoint_to_resume finds in a folder put in order, which the main rank holds until the stack is left.

    Others look nowhere before, and raise what it raises.
    """
    found, error = None, None
    if is_main():
        try:
            stack.enter_context(only_run_in(make_folder(run)))
            settle(run)
            found = checkpoint_to_resume(run, resume)
        except UserError as refusal:
            error = refusal
    found, error = broadcast_from_main((found, error))
    if error is not None:
        raise error
    return found


def _check_config(run: Path, config: AnyConfig, reporter: Reporter) -> None:
    """Raises ConfigError where the run was begun with another config, or its file is damaged."""
    begun_with = run_config(run)
    if begun_with is None:
        reporter.say(
            f"{run}: its {CONFIG_FILE} is missing, so nothing tells whether the run was begun with this config"
        )
    else:
        check_resumable(begun_with, config, str(run))


def _say_finished(finished: Finished, run: Path, reporter: Reporter) -> None:
    best = finished.best
    reached = f"; best {best} at step {best.step}" if best else ""
    if finished.waited:
        reached += (
            f"; stopped early after {number_of(finished.waited, 'evaluation')} without a better one; --resume goes on "
            f"with training.patience above {finished.waited}"
        )
    reporter.say(f"finished {finished.step} steps{reached}; {run / 'checkpoints'}")
